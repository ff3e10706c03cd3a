package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kakitome/kakitome/plugins/proto"
)

// The two ways in which a call fails. Every error of a client of Host is one of them.
var (
	// ErrNotSent: the call was surely not executed and may be made again with the same idempotency key. Whether that
	// helps depends on the cause: a module that is starting again, a breaker that is open, no room within the deadline,
	// an instance that is not configured.
	ErrNotSent = errors.New("not sent")
	// ErrUnknownOutcome: the call was sent and no answer came, or none that can be believed. It must not be made again
	// where it changes something outside; ask instead.
	ErrUnknownOutcome = errors.New("unknown outcome")
)

// CallError is the error of a call: Kind is ErrNotSent or ErrUnknownOutcome.
type CallError struct {
	Module string
	Method string
	Kind   error
	Cause  error
}

func (e *CallError) Error() string {
	return fmt.Sprintf("module %s: %s: %v: %.300s", e.Module, e.Method, e.Kind, e.Cause.Error())
}

// Unwrap gives the kind and the cause.
func (e *CallError) Unwrap() []error { return []error{e.Kind, e.Cause} }

// ConfigError says what a module found wrong with a configuration.
type ConfigError struct {
	Module string
	Faults []*proto.Error
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "module %s refuses the configuration", e.Module)
	for _, f := range e.Faults {
		fmt.Fprintf(&b, "; %.60s: %.200s (%.60s)", f.Field, f.Message, f.Code)
	}
	return b.String()
}
