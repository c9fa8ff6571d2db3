package format

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// all lists the formats, in the order in which messages name them.
func all() []Format {
	return []Format{csvFormat{name: "csv", comma: ','}, csvFormat{name: "tsv", comma: '\t'}, jsonlFormat{}, linesFormat{}}
}

// aliases are other words for a format.
var aliases = map[string]string{"ndjson": "jsonl"}

// Names lists the words that `format=` takes.
func Names() []string {
	var names []string
	for _, f := range all() {
		names = append(names, f.Name())
	}
	return names
}

// Lookup returns the format of a name.
func Lookup(name string) (Format, error) {
	want := name
	if a, ok := aliases[name]; ok {
		want = a
	}
	for _, f := range all() {
		if f.Name() == want {
			return f, nil
		}
	}
	return nil, fault.New(fault.InvalidArgument, "format %q is not known; known are %s", name, strings.Join(Names(), ", "))
}

// Choose tells the format and the compression of a file. The format comes from the path's suffix, after a suffix of a
// compression is taken off, and without a known one from the first bytes: a `{` begins JSON lines. The compression
// comes from the first bytes, because servers and transfers unpack files that still carry the suffix; only without
// head (nil, when a file is to be written) does the suffix decide.
func Choose(path string, head []byte) (Format, Compression, error) {
	c, inner := SuffixCompression(path)
	if head != nil {
		c = magicCompression(head)
	}
	if f := bySuffix(inner); f != nil {
		return f, c, nil
	}
	if f := byContent(head, c); f != nil {
		return f, c, nil
	}
	var suffixes []string
	for _, f := range all() {
		suffixes = append(suffixes, f.Suffixes()...)
	}
	return nil, c, fault.Hinted(fault.InvalidArgument, "Name the format, such as format=\"csv\".",
		"the format of %q is not known by its suffix; known are %s, each also with .gz or .zst",
		fault.Printable(path), strings.Join(suffixes, ", "))
}

func bySuffix(path string) Format {
	for _, f := range all() {
		for _, s := range f.Suffixes() {
			if n := len(path) - len(s); n >= 0 && equalFold(path[n:], s) {
				return f
			}
		}
	}
	return nil
}

// byContent looks at the first bytes, unpacked as far as they go.
func byContent(head []byte, c Compression) Format {
	if c != None {
		z, err := Decompress(bytes.NewReader(head), c, Limits{})
		if err != nil {
			return nil
		}
		defer z.Close()
		plain := make([]byte, HeadBytes)
		n, _ := io.ReadFull(z, plain) // the head is cut, so an error is expected
		head = plain[:n]
	}
	if text := bytes.TrimLeft(bytes.TrimPrefix(head, bom), " \t\r\n"); len(text) > 0 && text[0] == '{' {
		return jsonlFormat{}
	}
	return nil
}

var bom = []byte("\xef\xbb\xbf")

// Open opens an object for reading: name is a format's, or "auto" or "" to choose it. Compressed content is unpacked
// within o.Limits. The error may come at once or from Next. Close frees everything but in.Body, which stays the caller's.
func Open(ctx context.Context, name string, in Input, o ReadOptions) (rows.Source, error) {
	head := make([]byte, HeadBytes)
	n, err := io.ReadFull(in.Body, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:n]
	var f Format
	c := magicCompression(head)
	if name == "" || name == "auto" {
		f, c, err = Choose(in.Name, head)
	} else {
		f, err = Lookup(name)
	}
	if err != nil {
		return nil, err
	}
	if want, _ := SuffixCompression(in.Name); n == 0 && want != None {
		return nil, unpackError(want, &counter{}, io.EOF)
	}
	in.Body = io.MultiReader(bytes.NewReader(head), in.Body)
	if c == None {
		return f.Open(ctx, in, o)
	}
	z, err := Decompress(in.Body, c, o.Limits)
	if err != nil {
		return nil, err
	}
	in.Body, in.Size, in.ReadAt = z, -1, nil
	src, err := f.Open(ctx, in, o)
	if err != nil {
		z.Close()
		return nil, err
	}
	return &closing{Source: src, also: z}, nil
}

// closing is a source that holds something else open.
type closing struct {
	rows.Source
	also io.Closer
}

func (c *closing) Close() error {
	err := c.Source.Close()
	if e := c.also.Close(); err == nil {
		err = e
	}
	return err
}

// Create returns a writer for the file at path: name is a format's, or "auto" or "" to choose it by suffix; the suffix
// also chooses the compression. Close completes the file; without it the file is not whole.
func Create(name, path string, w io.Writer, o WriteOptions) (Writer, error) {
	c, _ := SuffixCompression(path)
	var f Format
	var err error
	if name == "" || name == "auto" {
		f, c, err = Choose(path, nil)
	} else {
		f, err = Lookup(name)
	}
	if err != nil {
		return nil, err
	}
	if c == None {
		return f.Create(w, o)
	}
	z, err := Compress(w, c)
	if err != nil {
		return nil, err
	}
	fw, err := f.Create(z, o)
	if err != nil {
		return nil, err
	}
	return &packing{Writer: fw, z: z}, nil
}

type packing struct {
	Writer
	z io.WriteCloser
}

// Close leaves the file incomplete when a write failed, so that it cannot be taken for a whole one.
func (p *packing) Close() error {
	if err := p.Writer.Close(); err != nil {
		return err
	}
	return p.z.Close()
}
