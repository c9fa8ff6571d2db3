# Alipan: AliPCS-Py, which judges the protocol fake and the encrypted files.
python_env judge-alipan 'alipcs-py==0.8.1' 'requests==2.34.2' 'cryptography==50.0.2' 'ecdsa==0.19.2'
