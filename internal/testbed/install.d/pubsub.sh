# Pub/Sub: Google's own server for tests (pstest), made a program by a nested module, and Google's Python client, which
# judges what was published.
if [ ! -x "$bin/pubsub-server" ] || [ pubsub/go.mod -nt "$bin/pubsub-server" ] || [ pubsub/main.go -nt "$bin/pubsub-server" ]; then
	echo "testbed: building pubsub-server"
	(cd pubsub && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w" -o "$bin/pubsub-server" .) || echo "testbed: pubsub-server could not be built"
fi
python_env judge-pubsub 'google-cloud-pubsub==2.44.0' 'cloudevents==1.12.0'
