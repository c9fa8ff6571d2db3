# S3, STS and EventBridge: versitygw and moto.
versity=$(cd tools && GOFLAGS=-mod=mod go list -m -f '{{.Version}}' github.com/versity/versitygw)
go_tool versitygw github.com/versity/versitygw/cmd/versitygw "-X main.Version=$versity"
python_env moto 'moto[server]==5.2.5'
ln -sfn ../python/moto/bin/moto_server "$bin/moto_server"
