package sdk

import (
	"io"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// newLogHandler writes one JSON object per line with the keys that the host reads: @timestamp, @level, @message, and
// the attributes beside them. Every level is written; the host decides what it keeps.
func newLogHandler(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch {
			case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
				return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
			case a.Key == slog.LevelKey:
				return slog.String("@level", strings.ToLower(a.Value.String()))
			case a.Key == slog.MessageKey:
				a.Key = "@message"
			}
			return a
		},
	})
}

// quietLogger silences go-plugin's own lines below a warning: they describe each start in detail.
func quietLogger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "go-plugin", Level: hclog.Warn, JSONFormat: true})
}
