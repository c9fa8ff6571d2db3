# Azure: Azurite stands for Blob storage; the Python SDKs judge what we write, and check the protocol fakes.
# All three of Azurite's programs come with one package; each test starts only the one that it wants.
npm_tool azurite azurite@3.37.0
ln -sfn ../npm/azurite/node_modules/.bin/azurite-blob "$bin/azurite-blob"
python_env judge-azure azure-storage-blob==12.31.1 azure-storage-file-datalake==12.26.1 azure-storage-file-share==12.27.1 azure-eventgrid==4.22.1 azure-identity==1.27.0
