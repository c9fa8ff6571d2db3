# rclone with the backends that judge what we write and that figures are compared with, from a nested module of its own:
# its dependencies do not resolve together with those of the servers in tools/.
if [ ! -x "$bin/rclone" ] || [ ../bench/peers/go.mod -nt "$bin/rclone" ] || [ ../bench/peers/rclone/main.go -nt "$bin/rclone" ]; then
	echo "testbed: building rclone"
	(cd ../bench/peers && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w" -o "$bin/rclone" ./rclone) || echo "testbed: rclone could not be built"
fi
