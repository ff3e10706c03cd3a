package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Limits of what goes to another page and comes back from there, in bytes.
const (
	MaxQuery      = 1500
	elsewhereTime = 15 * time.Second // of a call, which asks somebody else
)

// Elsewhere reports whether a message's recipient is identified at a page of somebody else.
func (id *Identity) Elsewhere(answers []message.Answer) bool {
	for _, a := range answers {
		if _, f := id.field(a.Field); f.GetElsewhere() {
			return true
		}
	}
	return false
}

// Going is a browser on its way to such a page and back.
type Going struct {
	Return string // URL where it comes back, without a query
	State  string // 128 random bits, once
	Lang   string
	Keep   []byte // what Begin gave
	Query  string // with which it came back
}

// Begin gives the URL to which the browser goes, and what is to be kept for Finish. ErrUnavailable: no module answered.
func (id *Identity) Begin(ctx context.Context, t *tenant.Tenant, answers []message.Answer, g Going) (url string, keep []byte, err error) {
	a, client, call, err := id.elsewhere(t, answers)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, elsewhereTime)
	defer cancel()
	res, err := client.Begin(ctx, &proto.BeginRequest{Call: call, Field: a.Field, Level: a.Level, ReturnUrl: g.Return, State: g.State, Lang: g.Lang})
	if err == nil && res.Error != nil {
		err = fmt.Errorf("%v: %s", res.Error.Class, res.Error.Code)
	}
	if err != nil {
		return "", nil, id.gaveNothing(t.ID, call, "begin", err)
	}
	return res.RedirectUrl, res.Keep, nil
}

// Finish compares who was identified with whom the message is for. The result is Incomplete (given up there, or what came
// back is forged or too old: no try), Mismatch (somebody else: counted), Locked, NeedCode or Passed. The caller has compared
// the state with that of the browser's session, and gives each once. ErrUnavailable: nothing was counted.
func (id *Identity) Finish(ctx context.Context, t *tenant.Tenant, ref store.Ref, g Going) (Result, error) {
	r, err := id.finish(ctx, t, ref, g)
	id.metrics.count("identity", r)
	return r, err
}

func (id *Identity) finish(ctx context.Context, t *tenant.Tenant, ref store.Ref, g Going) (Result, error) {
	rec, err := id.load(ctx, ref)
	if err != nil {
		return 0, err
	}
	if rec.state.LockedAt(id.o.Now()) {
		return Locked, nil
	}
	answers := rec.state.Head.Answers
	a, client, call, err := id.elsewhere(t, answers)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, elsewhereTime)
	defer cancel()
	res, err := client.Finish(ctx, &proto.FinishRequest{Call: call, Field: a.Field, Level: a.Level, ReturnUrl: g.Return, State: g.State, Query: g.Query, Keep: g.Keep})
	if err != nil {
		return 0, id.gaveNothing(t.ID, call, "finish", err)
	}
	switch class := res.Error.GetClass(); class {
	case proto.ErrorClass_ERROR_CLASS_UNSPECIFIED:
	case proto.ErrorClass_UNAVAILABLE, proto.ErrorClass_UNKNOWN_OUTCOME, proto.ErrorClass_CONFIG, proto.ErrorClass_INTERNAL, proto.ErrorClass_RATE_LIMITED:
		return 0, id.gaveNothing(t.ID, call, "finish", fmt.Errorf("%v: %s", class, res.Error.Code))
	default:
		id.o.Log.Warn("nobody was identified elsewhere", "tenant", t.ID, "msg", ref.ID, "class", class, "code", res.Error.Code)
		return Incomplete, nil
	}
	ok, err := id.compare(rec.asked(ref), answers, []string{res.Form})
	if err != nil {
		return 0, err
	}
	return id.count(ctx, ref, rec, questions, func(*record) bool { return ok })
}

// elsewhere is the one question of a message, and who answers it.
func (id *Identity) elsewhere(t *tenant.Tenant, answers []message.Answer) (a message.Answer, client proto.AuthClient, call *proto.Call, err error) {
	if len(answers) != 1 {
		return a, nil, nil, ErrUnavailable
	}
	a = answers[0]
	module, f := id.field(a.Field)
	if !f.GetElsewhere() {
		return a, nil, nil, ErrUnavailable
	}
	if client = id.o.Auths.Auth(module); client == nil {
		return a, nil, nil, ErrUnavailable
	}
	return a, client, id.call(module, t.ID), nil
}

func (id *Identity) gaveNothing(t tenant.ID, call *proto.Call, step string, err error) error {
	id.metrics.unavailable.Inc()
	id.o.Log.Error("identity module failed", "tenant", t, "instance", call.Instance, "step", step, "err", err)
	return ErrUnavailable
}
