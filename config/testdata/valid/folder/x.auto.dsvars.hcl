bucket = upper("lake")
sizes  = [1, 2]
