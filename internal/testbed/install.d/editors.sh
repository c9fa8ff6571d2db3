# The JSON Schema of SARIF 2.1.0 by OASIS, as a Go module carries it.
sarif="$bin/../files/sarif-2.1.0.json"
if [ ! -s "$sarif" ]; then
	echo "testbed: fetching the schema of SARIF"
	mkdir -p "$bin/../files"
	module=$(cd tools && go mod download -json github.com/owenrumney/go-sarif/v3@v3.2.3 | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	sed -n '/^const schema = `/,/^`/p' "$module/pkg/report/v210/sarif/schema.go" | sed 's/^const schema = `//; /^`/d' >"$sarif" ||
		echo "testbed: the schema of SARIF could not be fetched"
fi

# What VS Code, Neovim and others check Python with.
npm_tool pyright pyright@1.1.403
