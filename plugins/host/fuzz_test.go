package host

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func FuzzOutputOfAModule(f *testing.F) {
	for _, seed := range []string{`{"@level":"warn","@message":"agent answers slowly","ms":3}`, `{"@message":5}`, `{"":1,"@message":""}`, "panic: x\n\ngoroutine 1", "{\"@message\":\"\xff\"}", "\n\r\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		var log bytes.Buffer
		dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
		s := newLogSink(t.Context(), slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), dropped)
		s.read(bytes.NewReader(output), "stderr")
		if n := bytes.Count(log.Bytes(), []byte("\n")); n > linesAtOnce+2+len(output)/10 {
			t.Fatalf("%d lines logged for %d bytes", n, len(output))
		}
		if len(s.last()) > 300 {
			t.Fatal("last words are not bounded")
		}
	})
}
