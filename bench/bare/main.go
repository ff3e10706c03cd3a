// Bare answers every request with one HTTP response, read from standard input: the least that a handler of fasthttp can do.
// Bench compares the engine's pages with it. It prints the address it listens on, and ends when it is killed.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run() error {
	var answer fasthttp.Response
	if err := answer.Read(bufio.NewReader(os.Stdin)); err != nil {
		return err
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return (&fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		answer.Header.CopyTo(&ctx.Response.Header)
		ctx.Response.SetBodyRaw(answer.Body())
	}}).Serve(ln)
}
