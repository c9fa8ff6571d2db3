# Oracle Cloud Infrastructure: the vendor's Python client, which judges the protocol fake.
python_env judge-oci 'oci==2.189.0'
