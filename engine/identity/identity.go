package identity

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Auths finds identity modules. plugins/host implements it. A nil client is a module that is not there.
type Auths interface {
	Auth(module string) proto.AuthClient
	Describe(module string) (*proto.DescribeResponse, bool)
}

// CodeSMS is a one-time code on its way: Text holds it and is never logged.
type CodeSMS struct {
	Tenant tenant.ID
	To     string    // E.164: the message's own number
	Text   string    // final
	For    ulid.ULID // the message whose recipient is asked; zero: it is of a verification
	Until  time.Time // not sent after this time
	// Registered is the day, YYYY-MM-DD, since which the number must not have changed hands; empty: not known.
	Registered string
	// What follows is of a verification.
	By        string // who asked for it: "key:<name>"
	Profile   string // sender profile; empty: that of codes
	Reference string
	// With gives what is committed together with the SMS, whose id it is told. It may be asked more than once.
	With func(sms ulid.ULID) []store.Change
}

// Sender accepts one-time codes for sending, durably. engine/intake implements it (SendCode). Its error is, or has in it,
// message.Problems where the SMS is refused, also where a name of With's changes is taken (field "key", code "conflict").
type Sender interface {
	SendCode(ctx context.Context, c CodeSMS) (ulid.ULID, error)
}

// ErrUnavailable: a module does not answer; nothing was counted.
var ErrUnavailable = errors.New("identity module is not available")

// Limits of tries and codes.
const (
	MaxTries    = 5 // wrong ones of a kind until it locks
	LockFor     = 30 * time.Minute
	locksToStay = 3 // this lock and later ones end by Unlock alone

	CodeValid    = 5 * time.Minute
	firstResend  = 30 * time.Second // then doubled
	doubleClick  = 5 * time.Second
	CodesSession = 3
)

// UntilUnlocked is the end of a lock that only Unlock ends.
var UntilUnlocked = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Options of Identity. Store, Auths and Sender are required.
type Options struct {
	Store   *store.Store
	Auths   Auths
	Sender  Sender
	Modules []string // in which fields are looked for; default auth/knowledge, auth/otp_sms
	// Instances are the configurations of modules that need one.
	Instances []Instance
	LinkHost  string // for the line that binds a code to a host (a port is left out), where the tenant has none of its own
	Timeout   time.Duration
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Now       func() time.Time
}

// Identity is safe for concurrent use.
type Identity struct {
	o       Options
	metrics *metrics
	shares  *shares
	// instances are the configurations of modules that need one: Options.Instances, then those of UseInstances.
	instances atomic.Pointer[[]Instance]
	asks      asks
	sending   [sendingLocks]sync.Mutex // by message: one code at a time
}

const sendingLocks = 64

// New checks nothing: modules may come and go.
func New(o Options) *Identity {
	if len(o.Modules) == 0 {
		o.Modules = []string{"auth/knowledge", "auth/otp_sms"}
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	id := &Identity{o: o, metrics: newMetrics(o.Metrics), shares: newShares(o.Store)}
	id.UseInstances(o.Instances)
	return id
}

// Result is the outcome of a step.
type Result int

const (
	Incomplete Result = iota + 1 // something was empty: no try
	Unreadable                   // something was not in its form, by which nobody is told apart: no try
	Mismatch                     // counted
	Locked                       // by this try, or before it
	NeedCode                     // all items matched; a code follows
	Passed                       // the whole chain
	Sent                         // a code is on its way
	TooSoon                      // the code before is younger than its back-off
	TooMany                      // codes of this session, hour or day
)

var resultNames = map[Result]string{
	Incomplete: "incomplete", Unreadable: "unreadable", Mismatch: "mismatch", Locked: "locked", NeedCode: "need_code", Passed: "passed",
	Sent: "sent", TooSoon: "too_soon", TooMany: "too_many",
}

func (r Result) String() string { return resultNames[r] }

// field finds the module that knows a field.
func (id *Identity) field(name string) (module string, f *proto.AuthField) {
	for _, m := range id.o.Modules {
		d, ok := id.o.Auths.Describe(m)
		if !ok {
			continue
		}
		for _, f := range d.AuthFields {
			if f.Name == name {
				return m, f
			}
		}
	}
	return "", nil
}

// Askable lists the fields that a message of the tenant may ask for, in the order of their modules: those whose page is somebody else's only
// where its module has a configuration for the tenant.
func (id *Identity) Askable(t tenant.ID) (all []*proto.AuthField) {
	for _, m := range id.o.Modules {
		d, ok := id.o.Auths.Describe(m)
		if !ok {
			continue
		}
		for _, f := range d.AuthFields {
			if !f.Challenge && (!f.Elsewhere || id.instance(m, t) != "") {
				all = append(all, f)
			}
		}
	}
	return all
}

// challenger finds the module and field whose answer is sent to the recipient.
func (id *Identity) challenger() (module string, f *proto.AuthField) {
	for _, m := range id.o.Modules {
		if d, ok := id.o.Auths.Describe(m); ok {
			for _, f := range d.AuthFields {
				if f.Challenge {
					return m, f
				}
			}
		}
	}
	return "", nil
}

// Fields are the questions of a message, in the order of its answers, as the page asks them.
func (id *Identity) Fields(t *tenant.Tenant, answers []message.Answer, lang string) []*proto.FormField {
	say := func(ja, en string) string {
		if lang == "en" {
			return en
		}
		return ja
	}
	out := make([]*proto.FormField, len(answers))
	for i, a := range answers {
		f := &proto.FormField{Name: a.Field, Label: a.Label, MaxLength: message.MaxAnswer}
		if _, d := id.field(a.Field); d != nil {
			if f.Label == "" {
				f.Label = say(d.LabelJa, d.LabelEn)
			}
			f.Elsewhere = d.Elsewhere
			f.Hint, f.Form, f.InputMode, f.Autocomplete = say(d.HintJa, d.HintEn), say(d.FormJa, d.FormEn), d.InputMode, d.Autocomplete
			if d.MaxLength > 0 {
				f.MaxLength = d.MaxLength
			}
			for n, p := range parts(t, d) {
				f.Parts = append(f.Parts, &proto.FormField{
					Name: partName(a.Field, n), Label: say(p.LabelJa, p.LabelEn), Hint: say(p.HintJa, p.HintEn),
					InputMode: d.InputMode, Autocomplete: p.Autocomplete, MaxLength: p.MaxLength,
				})
			}
		}
		if f.Label == "" {
			f.Label = a.Field
		}
		out[i] = f
	}
	return out
}

// parts are the inputs that a field is asked in; none: in one.
func parts(t *tenant.Tenant, f *proto.AuthField) []*proto.AuthPart {
	if f == nil || !t.Policy.SplitName {
		return nil
	}
	return f.Parts
}

func partName(field string, n int) string { return fmt.Sprintf("%s.%d", field, n+1) }

// Join puts together what was typed for a message's items: by field, from the controls that Fields names. A page that was
// drawn before the tenant changed how it asks is read as well. A part that is empty leaves its field empty.
func (id *Identity) Join(answers []message.Answer, control func(name string) string) map[string]string {
	typed := map[string]string{}
	for _, a := range answers {
		if typed[a.Field] = control(a.Field); strings.TrimSpace(typed[a.Field]) != "" {
			continue
		}
		_, f := id.field(a.Field)
		var given []string
		for n := range f.GetParts() {
			if v := control(partName(a.Field, n)); strings.TrimSpace(v) != "" {
				given = append(given, v)
			}
		}
		if len(given) > 0 && len(given) == len(f.GetParts()) {
			typed[a.Field] = strings.Join(given, " ")
		}
	}
	return typed
}

func answerPurpose(m ulid.ULID, field string) string { return "identity/" + m.String() + "/" + field }
func codePurpose(m ulid.ULID) string                 { return "code/" + m.String() }

// canonical asks modules for the canonical forms of items, a batch a module. forms[i] is nil where no module knows
// items[i].Field.
func (id *Identity) canonical(ctx context.Context, t tenant.ID, items []*proto.CanonicalItem) ([]*proto.CanonicalForm, error) {
	forms := make([]*proto.CanonicalForm, len(items))
	byModule := map[string][]int{}
	modules := map[string]string{}
	for i, it := range items {
		m, known := modules[it.Field]
		if !known {
			m, _ = id.field(it.Field)
			modules[it.Field] = m
		}
		if m != "" {
			byModule[m] = append(byModule[m], i)
		}
	}
	for m, at := range byModule {
		for chunk := range slices.Chunk(at, 10_000) {
			batch := make([]*proto.CanonicalItem, len(chunk))
			for i, n := range chunk {
				batch[i] = items[n]
			}
			got, err := id.ask(ctx, m, &proto.CanonicalRequest{Call: id.call(m, t), Items: batch})
			if err != nil {
				return nil, err
			}
			for i, n := range chunk {
				forms[n] = got[i]
			}
		}
	}
	return forms, nil
}

func (id *Identity) ask(ctx context.Context, module string, req *proto.CanonicalRequest) ([]*proto.CanonicalForm, error) {
	client := id.o.Auths.Auth(module)
	if client == nil {
		return nil, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, id.o.Timeout)
	defer cancel()
	res, err := client.Canonical(ctx, req)
	if err != nil {
		id.metrics.unavailable.Inc()
		id.o.Log.Error("identity module failed", "plugin", module, "err", err)
		return nil, ErrUnavailable
	}
	if len(res.Forms) != len(req.Items) {
		id.metrics.unavailable.Inc()
		id.o.Log.Error("identity module answered another number of items", "plugin", module)
		return nil, ErrUnavailable
	}
	return res.Forms, nil
}

func (id *Identity) call(module string, t tenant.ID) *proto.Call {
	return &proto.Call{Tenant: string(t), Instance: id.instance(module, t), Now: timestamppb.New(id.o.Now())}
}

// levelOf is the normalisation of a field that the tenant chose. f may be nil.
func levelOf(t *tenant.Tenant, f *proto.AuthField) string {
	switch {
	case f == nil || len(f.Levels) == 0:
		return ""
	case t.Policy.KanaLevel != "" && slices.Contains(f.Levels, t.Policy.KanaLevel):
		return t.Policy.KanaLevel
	}
	return f.Levels[0]
}

// Enroll makes the answers to store of each message's items, in order, or says what is wrong with them; the field of a
// problem is the draft's path. No plain answer is kept. The error (ErrUnavailable or the store's) is of the whole batch:
// nothing could be decided.
func (id *Identity) Enroll(ctx context.Context, t *tenant.Tenant, messages []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	var all []*proto.CanonicalItem
	for _, of := range items {
		for _, it := range of {
			level := it.Level
			if level == "" {
				_, f := id.field(it.Field)
				level = levelOf(t, f)
			}
			all = append(all, &proto.CanonicalItem{Field: it.Field, Level: level, Value: it.Value})
		}
	}
	forms, err := id.canonical(ctx, t.ID, all)
	if err != nil {
		return nil, nil, fmt.Errorf("enroll identity items: %w", err)
	}
	answers, problems := make([][]message.Answer, len(messages)), make([]message.Problems, len(messages))
	n := 0
	for i, m := range messages {
		for j, it := range items[i] {
			asked, form := all[n], forms[n]
			n++
			path := fmt.Sprintf("identity.items[%d]", j)
			_, f := id.field(it.Field)
			switch {
			case form == nil || f == nil || f.Challenge:
				problems[i] = append(problems[i], message.Problem{Field: path + ".field", Code: "unknown", Value: message.Mask(it.Field)})
				continue
			case !f.Elsewhere && message.Length(it.Value) > message.MaxAnswer: // nobody could type it
				problems[i] = append(problems[i], message.Problem{Field: path + ".value", Code: "too_long", Limit: message.MaxAnswer, Got: int64(message.Length(it.Value))})
				continue
			case asked.Level != "" && !slices.Contains(f.Levels, asked.Level):
				problems[i] = append(problems[i], message.Problem{Field: path + ".level", Code: "unknown", Value: message.Mask(asked.Level)})
				continue
			case f.Elsewhere && len(items[i]) > 1:
				problems[i] = append(problems[i], message.Problem{Field: path + ".field", Code: "mismatch", Detail: "no other question stands beside one that another page answers"})
				continue
			case f.OwnLabel && it.Label == "":
				problems[i] = append(problems[i], message.Problem{Field: path + ".label", Code: "required", Detail: "this question has no words of its own"})
				continue
			case form.Error != nil || form.Form == "":
				problems[i] = append(problems[i], message.Problem{Field: path + ".value", Code: "pattern", Detail: form.Error.GetMessage()})
				continue
			}
			hash, err := id.o.Store.Keyed(t.ID, answerPurpose(m, it.Field), form.Form)
			if err != nil {
				return nil, nil, fmt.Errorf("hash an identity item: %w", err)
			}
			answers[i] = append(answers[i], message.Answer{
				Field: it.Field, Label: it.Label, Level: asked.Level, Hash: hash[:], OneIn: cmp.Or(form.OneIn, f.OneIn),
			})
		}
	}
	return answers, problems, nil
}

// Items compares what was typed, by field, with all items of the message. The result is Incomplete, Unreadable, Mismatch,
// Locked, NeedCode or Passed. Where a code follows, Mismatch must be shown as NeedCode is: the code's screen, and SendCode
// with held. With Unreadable come the indexes of the items that are not in their form: their modules
// tell by what was typed alone, before anything is compared. ErrUnavailable: no module answered, nothing was counted.
func (id *Identity) Items(ctx context.Context, t *tenant.Tenant, ref store.Ref, typed map[string]string) (r Result, unreadable []int, err error) {
	r, unreadable, err = id.items(ctx, t, ref, typed)
	id.metrics.count("identity", r)
	return r, unreadable, err
}

func (id *Identity) items(ctx context.Context, t *tenant.Tenant, ref store.Ref, typed map[string]string) (Result, []int, error) {
	rec, err := id.load(ctx, ref)
	if err != nil {
		return 0, nil, err
	}
	answers := rec.state.Head.Answers
	if id.Elsewhere(answers) { // whoever types it is nobody
		return Incomplete, nil, nil
	}
	forms, unreadable, err := id.typed(ctx, t, answers, typed)
	switch {
	case err != nil:
		return 0, nil, err
	case rec.state.LockedAt(id.o.Now()):
		return Locked, nil, nil
	case len(unreadable) > 0:
		return Unreadable, unreadable, nil
	case forms == nil:
		return Incomplete, nil, nil
	}
	ok, err := id.compare(rec.asked(ref), answers, forms)
	if err != nil {
		return 0, nil, err
	}
	r, err := id.count(ctx, ref, rec, questions, func(*record) bool { return ok })
	return r, nil, err
}

// typed gives the canonical form of every item, or the indexes of those that have none. Neither: something is empty.
func (id *Identity) typed(ctx context.Context, t *tenant.Tenant, answers []message.Answer, typed map[string]string) (forms []string, unreadable []int, err error) {
	if len(answers) == 0 {
		return nil, nil, nil
	}
	items := make([]*proto.CanonicalItem, len(answers))
	for i, a := range answers {
		v := strings.ToValidUTF8(typed[a.Field], "")
		if strings.TrimSpace(v) == "" {
			return nil, nil, nil // seen by whoever typed it
		}
		if len(v) > 4*message.MaxAnswer {
			unreadable = append(unreadable, i)
		}
		items[i] = &proto.CanonicalItem{Field: a.Field, Level: a.Level, Value: v}
	}
	if len(unreadable) > 0 {
		return nil, unreadable, nil
	}
	canonical, err := id.canonical(ctx, t.ID, items)
	if err != nil {
		return nil, nil, err
	}
	for i, f := range canonical {
		switch {
		case f == nil:
			return nil, nil, ErrUnavailable
		case f.Error != nil || f.Form == "":
			unreadable = append(unreadable, i)
		}
		forms = append(forms, f.GetForm())
	}
	if len(unreadable) > 0 {
		return nil, unreadable, nil
	}
	return forms, nil, nil
}

// compare hashes and compares every item, whatever the others gave.
func (id *Identity) compare(ref store.Ref, answers []message.Answer, forms []string) (bool, error) {
	match := 1
	for i, a := range answers {
		hash, err := id.o.Store.Keyed(ref.Tenant, answerPurpose(ref.ID, a.Field), forms[i])
		if err != nil {
			return false, fmt.Errorf("hash a typed answer: %w", err)
		}
		id.metrics.compared.Inc()
		match &= subtle.ConstantTimeCompare(hash[:], a.Hash)
	}
	return match == 1, nil
}

// stage is what is tried.
type stage struct {
	name       string // as in message.Try
	identifies bool   // whoever passes it is identified for this message
}

var (
	questions = stage{"identity", true}
	oneTime   = stage{"code", true}
	entryCode = stage{"code", false} // at the shared entry: the message to be opened is chosen later
)

// manyEvents of a message are more than its sender and recipient cause: from there on right answers are not recorded
// any more where somebody was identified before, for whoever knows them can give them in as many sessions as they like. Wrong ones then add up.
const manyEvents = 500

// count records a try of a step and what follows from it. matches is asked again when somebody else's try came between.
func (id *Identity) count(ctx context.Context, ref store.Ref, rec *record, of stage, matches func(*record) bool) (Result, error) {
	for {
		now := id.o.Now()
		if rec.lockedAt(of.name, now) {
			return Locked, nil
		}
		ok := matches(rec)
		if ok && of == questions && !rec.state.Head.Code && rec.state.Version >= manyEvents && !rec.state.IdentifiedAt.IsZero() {
			return Passed, nil
		}
		events := []store.NewEvent{event(now, message.Tried, message.Try{Step: of.name, OK: ok})}
		result := Mismatch
		lock := message.Lock{Until: now.Add(LockFor)}
		if rec.state.Locks+1 >= locksToStay {
			lock.Until = UntilUnlocked
		}
		last := (rec.wrong[of.name]+1)%MaxTries == 0
		switch {
		case of == questions && rec.state.Head.Code: // a match is counted as well: whoever tries cannot tell them apart
			if ok {
				result = NeedCode
			}
			if last {
				lock.Step = of.name
				events = append(events, event(now, message.Locked, lock))
			}
		case ok:
			result = Passed
			if of.identifies {
				events = append(events, event(now, message.Identified, nil))
			}
		case last:
			result = Locked
			events = append(events, event(now, message.Locked, lock))
		}
		err := id.append(ctx, ref, rec.state.Version, events)
		if err == nil {
			if len(events) > 1 && result != Passed {
				id.o.Log.Warn("identity locked", "tenant", ref.Tenant, "msg", ref.ID, "step", of.name, "locks", rec.state.Locks+1)
			}
			return result, nil
		}
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			return 0, fmt.Errorf("count a try of message %s: %w", ref.ID, err)
		}
		if rec, err = id.load(ctx, ref); err != nil {
			return 0, err
		}
	}
}

// Unlock ends a lock and starts the counts anew. by is as in message.Act.
func (id *Identity) Unlock(ctx context.Context, ref store.Ref, by string) error {
	if err := id.append(ctx, ref, store.Any, []store.NewEvent{event(id.o.Now(), message.Unlocked, message.Act{By: by})}); err != nil {
		return fmt.Errorf("unlock message %s: %w", ref.ID, err)
	}
	return nil
}

func event(at time.Time, typ message.Type, data any) store.NewEvent {
	return store.NewEvent{Type: byte(typ), At: at, Data: message.Encode(data)}
}

func (id *Identity) append(ctx context.Context, ref store.Ref, expect int, events []store.NewEvent) error {
	return id.commit(ctx, store.Change{Ref: ref, Expect: expect, Events: events})
}

// commit makes the changes together or not at all.
func (id *Identity) commit(ctx context.Context, changes ...store.Change) error {
	errs, err := id.o.Store.Commit(ctx, store.Tx(changes))
	if err != nil {
		return err
	}
	return errs[0]
}

// record is a message with what its identity needs besides its state.
type record struct {
	state message.State
	// wrong ones by step, since the last success of that step or unlock. Where a code follows the questions, all answers to
	// them since the last identification.
	wrong  map[string]int
	codes  []time.Time // when codes were sent, or withheld
	unused int         // of them, since the last identification
}

// asked is the message for which the expected answers were hashed.
func (r *record) asked(ref store.Ref) store.Ref {
	if first := r.state.Head.Answering; !first.IsZero() { // it follows up another message, whose answers it has
		ref.ID = first
	}
	return ref
}

func (r *record) lockedAt(step string, now time.Time) bool {
	if step == "code" {
		return r.state.CodeLockedAt(now)
	}
	return r.state.LockedAt(now)
}

func (id *Identity) load(ctx context.Context, ref store.Ref) (*record, error) {
	events, err := id.o.Store.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil {
		return nil, fmt.Errorf("load message %s: %w", ref.ID, err)
	}
	r := &record{wrong: map[string]int{}}
	for _, e := range events {
		m := message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
		if err := r.state.Apply(m); err != nil {
			return nil, fmt.Errorf("message %s: %w", ref.ID, err)
		}
		switch m.Type {
		case message.Tried:
			var try message.Try
			if err := m.Decode(&try); err != nil {
				return nil, fmt.Errorf("message %s: %w", ref.ID, err)
			}
			if r.wrong[try.Step]++; try.OK && !(try.Step == "identity" && r.state.Head.Code) {
				r.wrong[try.Step] = 0
			}
		case message.Unlocked, message.Identified:
			clear(r.wrong)
			r.unused = 0
		case message.CodeSent, message.CodeHeld:
			r.codes = append(r.codes, e.At)
			r.unused++
		}
	}
	return r, nil
}
