package api

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/valyala/fasthttp"
)

// Stream answers with what write writes, while it is written: memory does not grow with it. write runs beside the server, behind
// the handler, and is not called for HEAD. When it fails, or panics, the answer is cut off, so that a part is never taken
// for the whole; failed hears why. What write gets when the client has left is io.ErrClosedPipe, which is nobody's failure.
func (c *Caller) Stream(ctx *fasthttp.RequestCtx, write func(io.Writer) error, failed func(error)) {
	if ctx.IsHead() {
		return
	}
	from, to := io.Pipe()
	s := &stream{from: from}
	s.writing.Go(func() {
		err := guarded(write, to)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			failed(err)
		}
		to.CloseWithError(err)
	})
	ctx.SetBodyStream(s, -1)
}

// guarded makes a panic an error: on a goroutine of its own it would end the program, and with it every session with a carrier.
// Its value may hold what a sender sent; it is not said.
func guarded(write func(io.Writer) error, to io.Writer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: panic of type %T", r)
		}
	}()
	return write(to)
}

// stream is a body that is being written. The server closes it behind the answer, whole or not.
type stream struct {
	from    *io.PipeReader
	writing sync.WaitGroup
}

func (s *stream) Read(p []byte) (int, error) { return s.from.Read(p) }

func (s *stream) Close() error {
	err := s.from.Close()
	s.writing.Wait()
	return err
}
