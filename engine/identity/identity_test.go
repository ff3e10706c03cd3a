package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/auth/knowledge/kana"
	"github.com/kakitome/kakitome/plugins/proto"
)

// module answers like the modules in the box, over a real gRPC connection.
type module struct {
	proto.UnimplementedAuthServer
	client proto.AuthClient
	mu     sync.Mutex
	down   bool
	silent bool         // no code is made
	calls  atomic.Int64 // of a canonical form or a code
	next   int          // the code to give next
	host   string       // of the last code
}

func (m *module) Auth(string) proto.AuthClient { return m.client }

func (m *module) Describe(name string) (*proto.DescribeResponse, bool) {
	switch name {
	case "auth/knowledge":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{
			{Name: "birth_date", LabelJa: "生年月日", LabelEn: "Date of birth", HintJa: "例）19980101", MaxLength: 20, OneIn: 15_000},
			{Name: "kana_name", LabelJa: "お名前（カナ）", LabelEn: "Name in kana", Levels: []string{"L2", "L1", "L3"}, Parts: []*proto.AuthPart{{LabelJa: "姓", HintJa: "例）ヤマダ"}, {LabelJa: "名", HintJa: "例）タロウ"}}},
			{Name: "free", LabelJa: "質問", OwnLabel: true},
			{Name: "customer_number", LabelJa: "お客様番号"},
			{Name: "postcode", LabelJa: "郵便番号", OneIn: 20},
			{Name: "phone", LabelJa: "携帯電話番号"},
		}}, true
	case "auth/otp_sms":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{{Name: "code", Challenge: true}}}, true
	}
	return nil, false
}

func (m *module) Canonical(_ context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	m.calls.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errors.New("down")
	}
	out := &proto.CanonicalResponse{}
	for _, it := range in.Items {
		f := &proto.CanonicalForm{Form: strings.TrimSpace(it.Value)}
		switch {
		case it.Field == "birth_date" && len(f.Form) != 8, it.Field == "code" && strings.Trim(f.Form, "0123456789") != "":
			f = &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID}}
		case it.Field == "kana_name":
			form, err := kana.Canonical(it.Value, map[string]kana.Level{"L1": kana.Width, "L2": kana.Small, "L3": kana.Reading}[it.Level])
			if err != nil {
				f = &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID}}
			} else {
				f.Form = form
			}
		}
		out.Forms = append(out.Forms, f)
	}
	return out, nil
}

func (m *module) Challenge(_ context.Context, in *proto.ChallengeRequest) (*proto.ChallengeResponse, error) {
	m.calls.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down || m.silent {
		return nil, errors.New("down")
	}
	m.next++
	m.host = in.LinkHost
	code := fmt.Sprintf("%0*d", in.Digits, m.next)
	if in.Lang == "en" {
		return &proto.ChallengeResponse{Answer: code, Text: "en: " + code + " " + in.SenderName}, nil
	}
	return &proto.ChallengeResponse{Answer: code, Text: "「" + code + "」お客様の認証番号です。" + in.SenderName}, nil
}

// outbox takes the codes, and commits what comes with them as intake does.
type outbox struct {
	store *store.Store
	mu    sync.Mutex
	sent  []CodeSMS
	fails error
}

func (o *outbox) SendCode(ctx context.Context, c CodeSMS) (ulid.ULID, error) {
	o.mu.Lock()
	fails := o.fails
	o.mu.Unlock()
	if fails != nil {
		return ulid.ULID{}, fails
	}
	sms := newID()
	if c.With == nil {
		ref := store.Ref{Tenant: c.Tenant, Kind: store.Message, ID: sms}
		if _, err := o.store.Commit(ctx, store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), At: time.Now()}}}}); err != nil {
			return ulid.ULID{}, err
		}
	} else {
		errs, err := o.store.Commit(ctx, c.With(sms))
		var taken *store.TakenError
		switch {
		case err != nil:
			return ulid.ULID{}, err
		case errors.As(errs[0], &taken):
			return ulid.ULID{}, message.Problems{{Field: "key", Code: "conflict"}}
		case errs[0] != nil:
			return ulid.ULID{}, errs[0]
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, c)
	return sms, nil
}

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

type bench struct {
	*Identity
	module *module
	out    *outbox
	store  *store.Store
	dir    string
	log    *bytes.Buffer
	counts *prometheus.Registry // of the store
	now    time.Time
	t      *testing.T
}

// commits is how many requests the store has answered, and how many groups it has synced for them.
func (b *bench) commits() (requests, synced uint64) {
	b.t.Helper()
	all, err := b.counts.Gather()
	require.NoError(b.t, err)
	for _, family := range all {
		switch family.GetName() {
		case "kakitome_store_commit_seconds":
			requests = family.Metric[0].Histogram.GetSampleCount()
		case "kakitome_store_groups_total":
			synced = uint64(family.Metric[0].Counter.GetValue())
		}
	}
	return requests, synced
}

var water = &tenant.Tenant{ID: "water", Name: "〇〇県水道局"}

const ownNumber = "+818012349008"

func setup(t *testing.T) *bench {
	t.Helper()
	m := &module{}
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	proto.RegisterAuthServer(g, m)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:auth", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	m.client = proto.NewAuthClient(conn)

	b := &bench{module: m, out: &outbox{}, dir: t.TempDir(), log: &bytes.Buffer{}, counts: prometheus.NewRegistry(), now: time.Now(), t: t}
	key := filepath.Join(b.dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	b.store, err = store.Open(store.Options{
		Dir: filepath.Join(b.dir, "data"), MasterKey: key, Log: slog.New(slog.DiscardHandler),
		Pace: 200 * time.Microsecond, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Registerer: b.counts,
	})
	require.NoError(t, err)
	t.Cleanup(func() { b.store.Close() })
	b.out.store = b.store
	b.restart()
	return b
}

// restart makes the room anew, over the same store.
func (b *bench) restart() {
	b.Identity = New(Options{
		Store: b.store, Auths: b.module, Sender: b.out, LinkHost: "xx.jp:8443",
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: func() time.Time { return b.now },
	})
}

var secrets = []message.IdentityItem{
	{Field: "birth_date", Value: "19980101"},
	{Field: "kana_name", Value: "ヤマダ　タロウ"},
	{Field: "customer_number", Value: "C-778899"},
}

func right() map[string]string {
	return map[string]string{"birth_date": "19980101", "kana_name": "ﾔﾏﾀﾞ ﾀﾛｳ", "customer_number": "C-778899"}
}

// message commits a message with these items.
func (b *bench) message(items []message.IdentityItem, code bool) store.Ref {
	b.t.Helper()
	return b.messageTo(ownNumber, items, code)
}

func (b *bench) messageTo(number string, items []message.IdentityItem, code bool) store.Ref {
	b.t.Helper()
	return b.messageWith(number, items, message.Head{Code: code})
}

// messageWith has of h what is not of the message itself.
func (b *bench) messageWith(number string, items []message.IdentityItem, h message.Head) store.Ref {
	b.t.Helper()
	ref := store.Ref{Tenant: water.ID, Kind: store.Message, ID: newID()}
	answers, problems, err := b.Enroll(b.t.Context(), water, []ulid.ULID{ref.ID}, [][]message.IdentityItem{items})
	require.NoError(b.t, err)
	require.Empty(b.t, problems[0])
	sms, err := b.store.Seal(water.ID, "notice", b.now, ref.ID.String()+"/sms", message.Encode(message.SMS{Number: number, Text: "x"}))
	require.NoError(b.t, err)
	h.V, h.Token, h.Answers, h.SMS = 1, "a/"+ref.ID.String(), answers[0], sms
	errs, err := b.store.Commit(b.t.Context(), store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), At: b.now, Data: message.Encode(h)}}}})
	require.NoError(b.t, err)
	require.NoError(b.t, errs[0])
	return ref
}

func (b *bench) state(ref store.Ref) message.State {
	b.t.Helper()
	r, err := b.load(b.t.Context(), ref)
	require.NoError(b.t, err)
	return r.state
}

func (b *bench) items(ref store.Ref, typed map[string]string) Result {
	b.t.Helper()
	r, _, err := b.Items(b.t.Context(), water, ref, typed)
	require.NoError(b.t, err)
	return r
}

func (b *bench) code(ref store.Ref, typed string) Result {
	b.t.Helper()
	r, err := b.Code(b.t.Context(), water, ref, typed, false)
	require.NoError(b.t, err)
	return r
}

func (b *bench) send(ref store.Ref, session int) Result {
	b.t.Helper()
	r, err := b.SendCode(b.t.Context(), water, ref, Asking{Session: session})
	require.NoError(b.t, err)
	return r
}

func TestRightAnswersPassHoweverTheyAreTyped(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, false)
	require.Equal(t, Passed, b.items(ref, map[string]string{"birth_date": " 19980101 ", "kana_name": "やまだ たろう", "customer_number": "C-778899"}))
	s := b.state(ref)
	require.False(t, s.IdentifiedAt.IsZero())
	require.Equal(t, 3, s.Version)
}

func TestEachWrongItemAloneIsAMismatch(t *testing.T) {
	b := setup(t)
	for field := range right() {
		ref := b.message(secrets, false)
		typed := right()
		typed[field] = map[string]string{"birth_date": "19980102", "kana_name": "ヤマダジロウ", "customer_number": "C-778898"}[field]
		require.Equal(t, Mismatch, b.items(ref, typed), field)
		require.True(t, b.state(ref).IdentifiedAt.IsZero())
		require.Equal(t, 1, b.state(ref).Failures)
	}
}

func TestEmptyOrMalformedFormIsNoTry(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, true)
	for _, typed := range []map[string]string{
		nil, {}, {"birth_date": "19980101"},
		{"birth_date": "19980101", "kana_name": " 　", "customer_number": "1"},
		{"birth_date": "\xff\xff", "kana_name": "\x00", "customer_number": "\n"},
	} {
		require.Equal(t, Incomplete, b.items(ref, typed), typed)
	}
	for _, c := range []struct {
		typed      map[string]string
		unreadable []int
	}{
		{map[string]string{"birth_date": "1998-1", "kana_name": "ヤマダ", "customer_number": "1"}, []int{0}},
		{map[string]string{"birth_date": "1998-1", "kana_name": "ヤマダタロウ", "customer_number": "C-778899"}, []int{0}}, // the others match
		{map[string]string{"birth_date": "19980101", "kana_name": "ヤマダ", "customer_number": strings.Repeat("9", 10_000)}, []int{2}},
	} {
		result, unreadable, err := b.Items(t.Context(), water, ref, c.typed)
		require.NoError(t, err)
		require.Equal(t, Unreadable, result, c.typed)
		require.Equal(t, c.unreadable, unreadable)
	}
	require.Equal(t, Incomplete, b.code(ref, ""))
	require.Equal(t, Incomplete, b.code(ref, " 　"))
	require.Equal(t, Unreadable, b.code(ref, "abc"))
	require.Equal(t, Unreadable, b.code(ref, "\xff"))
	require.Equal(t, Unreadable, b.code(ref, strings.Repeat("1", 65)))
	require.Equal(t, 1, b.state(ref).Version, "nothing was written")
}

func TestFiveWrongTriesLockThriceForGood(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, false)
	wrong := right()
	wrong["birth_date"] = "20000101"
	for lock := 1; lock <= 3; lock++ {
		for range MaxTries - 1 {
			require.Equal(t, Mismatch, b.items(ref, wrong))
		}
		require.Equal(t, Locked, b.items(ref, wrong))
		require.Equal(t, Locked, b.items(ref, right()), "right answers do not open a lock")
		version := b.state(ref).Version
		require.Equal(t, Locked, b.items(ref, wrong))
		require.Equal(t, version, b.state(ref).Version, "what is tried behind a lock is not compared")
		require.Equal(t, lock, b.state(ref).Locks)
		b.now = b.now.Add(LockFor)
	}
	b.now = b.now.Add(365 * 24 * time.Hour)
	require.Equal(t, Locked, b.items(ref, right()), "the third lock stays")
	require.NoError(t, b.Unlock(t.Context(), ref, "user:admin"))
	require.Equal(t, Passed, b.items(ref, right()))
	require.Contains(t, b.log.String(), "identity locked")
}

func TestRightAnswersGrowAMessageToABound(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, false)
	for range manyEvents { // two events each
		require.Equal(t, Passed, b.items(ref, right()))
	}
	require.LessOrEqual(t, b.state(ref).Version, manyEvents+1)
	wrong := right()
	wrong["birth_date"] = "20000101"
	for range MaxTries - 1 {
		require.Equal(t, Mismatch, b.items(ref, wrong))
		require.Equal(t, Passed, b.items(ref, right()))
	}
	require.Equal(t, Locked, b.items(ref, wrong))
	require.LessOrEqual(t, b.state(ref).Version, manyEvents+MaxTries+2)
}

func TestConcurrentTriesAreCountedOnceEach(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, false)
	wrong := right()
	wrong["birth_date"] = "20000101"
	results := make([]Result, 40)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			typed := wrong
			if i%2 == 0 {
				typed = right()
			}
			results[i], _, _ = b.Items(context.Background(), water, ref, typed)
		})
	}
	wg.Wait()
	var tried, passed, refused int
	for _, r := range results {
		switch r {
		case Passed:
			passed, tried = passed+1, tried+1
		case Mismatch:
			tried++
		case Locked:
			refused++
		default:
			t.Fatalf("result %d", r)
		}
	}
	events, err := b.store.Load(t.Context(), tenant.Only(water.ID), ref)
	require.NoError(t, err)
	counted, locks := 0, 0
	for _, e := range events {
		switch message.Type(e.Type) {
		case message.Tried:
			counted++
		case message.Locked:
			locks++
		}
	}
	require.Equal(t, tried+locks, counted)
	require.LessOrEqual(t, locks, 1)
	require.Equal(t, len(results), tried+refused)
	if locks == 0 {
		require.Zero(t, refused)
	}
}

func TestManyAtOnceNeverGetMoreThanFiveGuesses(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, false)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			typed := right()
			typed["birth_date"] = fmt.Sprintf("2000%04d", i)
			b.Items(context.Background(), water, ref, typed)
		})
	}
	wg.Wait()
	s := b.state(ref)
	require.Equal(t, MaxTries, s.Failures)
	require.Equal(t, 1, s.Locks)
}

func TestCodeGoesOnlyToTheMessagesOwnNumber(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, true)
	wrong := right()
	wrong["birth_date"] = "20000101"
	require.Equal(t, Mismatch, b.items(ref, wrong))
	require.Empty(t, b.out.sent)
	require.Equal(t, NeedCode, b.items(ref, right()))
	require.True(t, b.state(ref).IdentifiedAt.IsZero())
	require.Equal(t, Sent, b.send(ref, 0))
	require.Len(t, b.out.sent, 1)
	sms := b.out.sent[0]
	require.Equal(t, ownNumber, sms.To)
	require.Equal(t, ref.ID, sms.For)
	require.Contains(t, sms.Text, "000001")

	require.Equal(t, Mismatch, b.code(ref, "999999"))
	require.Equal(t, Passed, b.code(ref, " 000001 "))
	require.False(t, b.state(ref).IdentifiedAt.IsZero())
	require.Equal(t, Mismatch, b.code(ref, "000001"), "a code is used once")
}

func TestCodeEndsAfterFiveMinutes(t *testing.T) {
	b := setup(t)
	ref := b.message(nil, true)
	require.Equal(t, Mismatch, b.code(ref, "000000"), "none was sent")
	require.Equal(t, Sent, b.send(ref, 0))
	b.now = b.now.Add(CodeValid)
	require.Equal(t, Mismatch, b.code(ref, "000001"))
	require.Equal(t, Sent, b.send(ref, 1))
	b.now = b.now.Add(CodeValid - time.Second)
	require.Equal(t, Mismatch, b.code(ref, "000001"), "an older code is dead")
	require.Equal(t, Passed, b.code(ref, "000002"))
}

func TestCodeIsAsTheMessageAndThePageHaveIt(t *testing.T) {
	b := setup(t)
	ref := b.messageWith(ownNumber, nil, message.Head{Code: true, CodeDigits: 4})
	bilingual := *water
	bilingual.NameEN, bilingual.Policy.CodeDigits = "Example Water", 8
	send := func(a Asking) CodeSMS {
		r, err := b.SendCode(t.Context(), &bilingual, ref, a)
		require.NoError(t, err)
		require.Equal(t, Sent, r)
		b.now = b.now.Add(CodeValid)
		return b.out.sent[len(b.out.sent)-1]
	}
	require.Equal(t, "「0001」お客様の認証番号です。〇〇県水道局", send(Asking{}).Text)
	require.Equal(t, "en: 0002 Example Water", send(Asking{Session: 1, Lang: "en"}).Text)
	b.now = b.now.Add(24 * time.Hour)
	require.Contains(t, send(Asking{Digits: 6}).Text, "「000003」", "as a shared page says, which is the same for every message")
	require.Equal(t, 8, Digits(&bilingual, &message.Head{}))
}

// A code is bound to the name of a host: modules take no port.
func TestCodeIsBoundToTheHostsName(t *testing.T) {
	b := setup(t)
	own := *water
	for host, name := range map[string]string{"": "xx.jp", "kk.example.jp": "kk.example.jp", "kk.example.jp:8443": "kk.example.jp"} {
		own.LinkHost = host
		r, err := b.SendCode(t.Context(), &own, b.message(nil, true), Asking{})
		require.NoError(t, err)
		require.Equal(t, Sent, r)
		require.Equal(t, name, b.module.host, host)
	}
}

func TestNewCodesDoNotBuyMoreGuesses(t *testing.T) {
	b := setup(t)
	ref := b.message(nil, true)
	for range 30 {
		for range 10 {
			b.send(ref, 0)
			for guess := range 4 {
				b.code(ref, fmt.Sprintf("9%05d", guess))
			}
			b.now = b.now.Add(144 * time.Minute)
		}
	}
	r, err := b.load(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, 3, r.state.Locks)
	require.Equal(t, 3*MaxTries, r.wrong["code"], "in thirty days")
}

func TestResendBacksOffAndEnds(t *testing.T) {
	b := setup(t)
	ref := b.message(nil, true)
	require.Equal(t, Sent, b.send(ref, 0))
	require.Equal(t, TooSoon, b.send(ref, 1))
	b.now = b.now.Add(30 * time.Second)
	require.Equal(t, Sent, b.send(ref, 1))
	b.now = b.now.Add(30 * time.Second)
	require.Equal(t, TooSoon, b.send(ref, 2))
	b.now = b.now.Add(30 * time.Second)
	require.Equal(t, Sent, b.send(ref, 2))
	b.now = b.now.Add(10 * time.Minute)
	require.Equal(t, TooMany, b.send(ref, 3), "three in a session")
	require.Equal(t, Sent, b.send(ref, 0), "a new session")
	b.now = b.now.Add(10 * time.Minute)
	require.Equal(t, Sent, b.send(ref, 0))
	b.now = b.now.Add(10 * time.Minute)
	require.Equal(t, TooMany, b.send(ref, 0), "five an hour")
	other := b.message(nil, true)
	require.Equal(t, TooMany, b.send(other, 0), "of another message to the same number too")
	for range 5 {
		b.now = b.now.Add(time.Hour)
		require.Equal(t, Sent, b.send(ref, 0))
	}
	b.now = b.now.Add(time.Hour)
	require.Equal(t, TooMany, b.send(ref, 0), "ten a day")
	b.restart()
	require.Equal(t, TooMany, b.send(ref, 0), "a restart forgets nothing")
	require.Equal(t, TooMany, b.send(other, 0), "nor of the number")
	b.now = b.now.Add(20 * time.Hour)
	require.Equal(t, Sent, b.send(other, 0))
}

func TestDoubleClickSendsOneCode(t *testing.T) {
	b := setup(t)
	ref := b.message(nil, true)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { b.SendCode(context.Background(), water, ref, Asking{}) })
	}
	wg.Wait()
	require.Len(t, b.out.sent, 1)
}

func TestDeadModuleCountsNothing(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, true)
	b.module.mu.Lock()
	b.module.down = true
	b.module.mu.Unlock()
	_, _, err := b.Items(t.Context(), water, ref, right())
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = b.Code(t.Context(), water, ref, "123456", false)
	require.ErrorIs(t, err, ErrUnavailable)
	_, _, err = b.Enroll(t.Context(), water, []ulid.ULID{newID()}, [][]message.IdentityItem{secrets})
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, 1, b.state(ref).Version)
	require.NotContains(t, b.log.String(), "C-778899")
	for range codesDay {
		_, err = b.SendCode(t.Context(), water, ref, Asking{})
		require.ErrorIs(t, err, ErrUnavailable)
	}
	b.module.mu.Lock()
	b.module.down = false
	b.module.mu.Unlock()
	require.Equal(t, Sent, b.send(ref, 0), "codes that were never made take no share")
}

func TestEnrollNamesTheFieldAtFault(t *testing.T) {
	b := setup(t)
	answers, problems, err := b.Enroll(t.Context(), water, []ulid.ULID{newID(), newID(), newID()}, [][]message.IdentityItem{
		{{Field: "birth_date", Value: "19980101"}},
		nil,
		{{Field: "shoe_size", Value: "27"}, {Field: "birth_date", Value: "yesterday"}, {Field: "kana_name", Level: "L9", Value: "ヤマダ"}, {Field: "code", Value: "123456"}},
	})
	require.NoError(t, err)
	require.Len(t, answers[0], 1)
	require.Empty(t, problems[0])
	require.Empty(t, problems[1])
	got := map[string]string{}
	for _, p := range problems[2] {
		got[p.Field] = p.Code
		require.NotContains(t, p.Error(), "yesterday")
	}
	require.Equal(t, map[string]string{
		"identity.items[0].field": "unknown", "identity.items[1].value": "pattern",
		"identity.items[2].level": "unknown", "identity.items[3].field": "unknown",
	}, got)
}

func TestLevelIsFixedAtAcceptance(t *testing.T) {
	b := setup(t)
	loose := &tenant.Tenant{ID: "water", Policy: tenant.Policy{KanaLevel: "L3"}}
	answers, _, err := b.Enroll(t.Context(), loose, []ulid.ULID{newID(), newID()}, [][]message.IdentityItem{
		{{Field: "kana_name", Value: "ヤマダ"}}, {{Field: "kana_name", Level: "L1", Value: "ヤマダ"}},
	})
	require.NoError(t, err)
	require.Equal(t, "L3", answers[0][0].Level)
	require.Equal(t, "L1", answers[1][0].Level)
}

func TestSameAnswerHasAnotherHashInEachMessage(t *testing.T) {
	b := setup(t)
	item := []message.IdentityItem{{Field: "birth_date", Value: "19980101"}}
	answers, _, err := b.Enroll(t.Context(), water, []ulid.ULID{newID(), newID()}, [][]message.IdentityItem{item, item})
	require.NoError(t, err)
	require.NotEqual(t, answers[0][0].Hash, answers[1][0].Hash)
}

func TestAnswersAndCodesAreNeverOnDiskOrInTheLog(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, true)
	wrong := right()
	wrong["customer_number"] = "C-445566"
	b.items(ref, wrong)
	b.items(ref, right())
	b.send(ref, 0)
	b.code(ref, "987650")
	require.NoError(t, b.store.Close())
	for _, secret := range []string{"19980101", "ヤマダ", "C-778899", "C-445566", "987650", "000001", ownNumber, ownNumber[3:]} {
		require.NotContains(t, b.log.String(), secret)
		require.NoError(t, filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err == nil && bytes.Contains(content, []byte(secret)) {
				err = fmt.Errorf("%s holds %q", filepath.Base(path), secret)
			}
			return err
		}))
	}
}

func TestFieldsSpeakTheLanguage(t *testing.T) {
	b := setup(t)
	f := b.Fields(water, []message.Answer{{Field: "birth_date"}, {Field: "customer_number", Label: "会員番号"}, {Field: "gone_field"}}, "en")
	require.Equal(t, "Date of birth", f[0].Label)
	require.EqualValues(t, 20, f[0].MaxLength)
	require.Equal(t, "会員番号", f[1].Label)
	require.Equal(t, "gone_field", f[2].Label)
	require.Equal(t, "例）19980101", b.Fields(water, []message.Answer{{Field: "birth_date"}}, "ja")[0].Hint)
}

func TestNameIsAskedInOneFieldOrTwo(t *testing.T) {
	b := setup(t)
	answers := []message.Answer{{Field: "birth_date"}, {Field: "kana_name"}}
	require.Empty(t, b.Fields(water, answers, "ja")[1].Parts)
	two := *water
	two.Policy.SplitName = true
	fields := b.Fields(&two, answers, "ja")
	require.Empty(t, fields[0].Parts)
	require.Equal(t, []string{"kana_name.1", "姓", "例）ヤマダ"}, []string{fields[1].Parts[0].Name, fields[1].Parts[0].Label, fields[1].Parts[0].Hint})
	require.Equal(t, []string{"kana_name.2", "名", "例）タロウ"}, []string{fields[1].Parts[1].Name, fields[1].Parts[1].Label, fields[1].Parts[1].Hint})

	ref := b.message(secrets, false)
	held := b.state(ref).Head.Answers
	join := func(typed map[string]string) map[string]string {
		return b.Join(held, func(name string) string { return typed[name] })
	}
	one := map[string]string{"birth_date": "19980101", "customer_number": "C-778899", "kana_name.1": "やまだ", "kana_name.2": ""}
	require.Equal(t, Incomplete, b.items(ref, join(one)), "a name of which a part is missing is no try")
	one["kana_name.2"] = "たろう"
	require.Equal(t, Passed, b.items(ref, join(one)))
	one["kana_name.1"], one["kana_name.2"], one["kana_name"] = "", "", "ヤマダタロウ"
	require.Equal(t, Passed, b.items(ref, join(one)), "a page of before")
}

func TestQuestionWithoutWordsNeedsThem(t *testing.T) {
	b := setup(t)
	answers, problems, err := b.Enroll(t.Context(), water, []ulid.ULID{newID(), newID()}, [][]message.IdentityItem{
		{{Field: "free", Value: "ポチ"}}, {{Field: "free", Label: "ペットの名前", Value: "ポチ"}},
	})
	require.NoError(t, err)
	require.Equal(t, "identity.items[0].label", problems[0][0].Field)
	require.Equal(t, "required", problems[0][0].Code)
	require.Empty(t, problems[1])
	require.Equal(t, "ペットの名前", answers[1][0].Label)
}
