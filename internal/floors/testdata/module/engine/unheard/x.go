package unheard // WANT "on no floor"
