# Judges of events: other people's readers of CloudEvents and of signed webhooks.
python_env judge-events 'cloudevents==1.12.0' 'standardwebhooks==1.0.1'
