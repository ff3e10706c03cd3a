package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	linesPerSecond = 200
	linesAtOnce    = 400
	bytesPerSecond = 4 << 20 // a module that writes faster waits: reading costs the host's time
	maxLine        = 64 << 10
	maxShown       = 4 << 10 // of a line
	maxAttrs       = 32
	droppedEvery   = 5 * time.Second
)

// logSink turns what a module's process writes into the host's log. It is bounded: beyond the rate lines are dropped
// and counted, and a flood is read no faster than bytesPerSecond.
type logSink struct {
	log     *slog.Logger
	dropped prometheus.Counter
	ctx     context.Context // ends the waiting of a flood; the process's life
	bytes   *rate.Limiter

	mu       sync.Mutex // guards what follows
	lines    *rate.Limiter
	drops    int       // since they were last reported
	reported time.Time // when
	inPanic  bool
	tail     string // the last line
}

func newLogSink(ctx context.Context, log *slog.Logger, dropped prometheus.Counter) *logSink {
	return &logSink{
		log: log, dropped: dropped, ctx: ctx,
		bytes: rate.NewLimiter(bytesPerSecond, 1<<20),
		lines: rate.NewLimiter(linesPerSecond, linesAtOnce),
	}
}

// read logs r line by line until it ends. A line that is too long is logged in its first part and skipped.
func (s *logSink) read(r io.Reader, stream string) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadSlice('\n')
		s.pace(len(line))
		if len(line) > 0 {
			s.line(line, stream)
		}
		for err == bufio.ErrBufferFull {
			line, err = br.ReadSlice('\n')
			s.pace(len(line))
		}
		if err != nil {
			s.report(true)
			return
		}
	}
}

// pace waits until n more bytes may be read.
func (s *logSink) pace(n int) { _ = s.bytes.WaitN(s.ctx, n) } // an error: the process ends, read on without waiting

// stream is a writer for what go-plugin carries of os.Stdout and os.Stderr over gRPC.
type stream struct {
	sink *logSink
	name string
}

func (w stream) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		w.sink.pace(min(len(line), maxLine))
		w.sink.line(line, w.name)
	}
	return len(b), nil
}

func (s *logSink) line(line []byte, stream string) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lines.Allow() {
		s.drops++
		s.dropped.Inc()
		return
	}
	s.reportLocked(false)
	if level, message, attrs, ok := parseLine(line); ok {
		s.tail = message
		s.log.Log(s.ctx, level, "module log", "text", message, slog.Group("attrs", attrs...))
		return
	}
	text := string(line[:min(len(line), maxShown)])
	s.tail = text
	level := slog.LevelDebug
	if bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
		s.inPanic = true // the stack follows
	}
	if s.inPanic {
		level = slog.LevelError
	}
	s.log.Log(s.ctx, level, "module output", "text", text, "stream", stream)
}

func (s *logSink) report(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reportLocked(now)
}

func (s *logSink) reportLocked(now bool) {
	if s.drops > 0 && (now || time.Since(s.reported) > droppedEvery) {
		s.log.Warn("module log lines dropped", "dropped", s.drops)
		s.drops, s.reported = 0, time.Now()
	}
}

func (s *logSink) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail[:min(len(s.tail), 300)]
}

// parseLine reads a line of hclog's JSON format, as the SDK writes it. Nothing in it is trusted to be of its type.
func parseLine(line []byte) (level slog.Level, message string, attrs []any, ok bool) {
	var entry map[string]any
	if line[0] != '{' || json.Unmarshal(line, &entry) != nil {
		return 0, "", nil, false
	}
	message, ok = entry["@message"].(string)
	if !ok {
		return 0, "", nil, false
	}
	switch l, _ := entry["@level"].(string); l {
	case "error":
		level = slog.LevelError
	case "warn":
		level = slog.LevelWarn
	case "info":
		level = slog.LevelInfo
	default:
		level = slog.LevelDebug
	}
	for k, v := range entry {
		if k[:min(1, len(k))] != "@" && len(attrs) < maxAttrs {
			attrs = append(attrs, slog.Any(k, v))
		}
	}
	return level, message[:min(len(message), maxShown)], attrs, true
}

// pluginLogger carries go-plugin's own lines: they tell an operator nothing that the supervisor does not, so they are
// for debugging alone.
type pluginLogger struct {
	hclog.Logger // silent, for the rest of the interface
	log          *slog.Logger
}

func newPluginLogger(log *slog.Logger) hclog.Logger {
	return pluginLogger{hclog.NewNullLogger(), log}
}

func (l pluginLogger) Log(_ hclog.Level, msg string, args ...any) { l.Debug(msg, args...) }
func (l pluginLogger) Trace(string, ...any)                       {}
func (l pluginLogger) Debug(msg string, args ...any) {
	l.log.Debug("go-plugin", append([]any{"text", msg}, args...)...)
}
func (l pluginLogger) Info(msg string, args ...any)   { l.Debug(msg, args...) }
func (l pluginLogger) Warn(msg string, args ...any)   { l.Debug(msg, args...) }
func (l pluginLogger) Error(msg string, args ...any)  { l.Debug(msg, args...) }
func (l pluginLogger) IsDebug() bool                  { return true }
func (l pluginLogger) IsInfo() bool                   { return true }
func (l pluginLogger) IsWarn() bool                   { return true }
func (l pluginLogger) IsError() bool                  { return true }
func (l pluginLogger) GetLevel() hclog.Level          { return hclog.Debug }
func (l pluginLogger) With(...any) hclog.Logger       { return l }
func (l pluginLogger) Named(string) hclog.Logger      { return l }
func (l pluginLogger) ResetNamed(string) hclog.Logger { return l }
func (l pluginLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(io.Discard, "", 0)
}
