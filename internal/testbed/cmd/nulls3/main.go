// Command nulls3 runs the null S3 server of the measurements until it is ended.
//
//	nulls3 -addr 127.0.0.1:9000 -keys 1000000 -prefixes 16 -size 16384 -page-delay 30ms
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/nulls3"
)

func main() {
	s := &nulls3.Server{}
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	flag.IntVar(&s.Keys, "keys", 1_000_000, "keys of a listing")
	flag.IntVar(&s.Prefixes, "prefixes", 0, "prefixes that the keys lie below; 0 means none")
	flag.Int64Var(&s.Size, "size", 16<<10, "bytes of every object")
	flag.DurationVar(&s.PageDelay, "page-delay", 0, "wait before each page of a listing")
	flag.DurationVar(&s.Latency, "latency", 0, "wait before each answer")
	flag.Int64Var(&s.Rate, "rate", 0, "bytes a second of one body; 0 means unbounded")
	authority := flag.String("tls", "", "speak TLS, and write the certificate that clients are to trust to this `file`, in PEM")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	if *authority != "" {
		cert, key, err := testbed.Certificate()
		if err != nil {
			log.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(*authority, cert, 0o600); err != nil {
			log.Fatal(err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	}
	log.Printf("listening on %s", l.Addr())
	log.Fatal(http.Serve(l, s))
}
