# Hugging Face: the hub's own Python client, which judges the protocol fake.
python_env judge-huggingface 'huggingface_hub==2.4.0'
