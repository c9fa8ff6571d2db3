# Cloud Storage: fake-gcs-server keeps the objects; Google's Python client judges the front that adds what it lacks.
go_tool fake-gcs-server github.com/fsouza/fake-gcs-server
python_env judge-gcs 'google-cloud-storage==3.17.1' 'google-auth==2.58.0'
