package campaign

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestGoodRowsBecomeMessages(t *testing.T) {
	r := openRoom(t)
	r.run()
	text := "電話番号,認証：生年月日,認証：氏名カナ,会員情報,本文,種別,タイトル,文頭,項目1,値1,表:今回指針,請求番号,請求金額,うち税,支払期限,SMS認証,宛名\r\n" +
		"090-0001-0001,昭和60年1月2日,ｽｲﾄﾞｳ ﾀﾛｳ,M-1,\"〇〇県水道局です。\r\n{url}\",請求,水道料金のお知らせ,いつもありがとうございます。,使用水量,44m3,682,R-1,\"7,440\",551円," + due() + ",有,スイドウ　タロウ\r\n" +
		"０９０－０００２－０００２,19850102,スイドウ　ハナコ,M-2,〇〇県水道局です。{url},,お知らせ,,,,,,,,,無,\r\n"
	st := r.check([]byte(text))
	require.Equal(t, UTF8, st.Encoding)
	require.EqualValues(t, 2, st.Rows)
	require.Zero(t, st.Faulty, "%v", r.list(st.ID, ListFaults))
	require.Empty(t, r.messages(st.ID), "nothing is due before it is released")
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "user:hanako"})
	require.NoError(t, err)
	st = r.until(st.ID, Done)
	require.EqualValues(t, 2, st.Accepted)
	require.Equal(t, "user:hanako", st.ReleasedBy)
	refs := r.messages(st.ID)
	require.Len(t, refs, 2)
	at := slices.IndexFunc(refs, func(ref store.Ref) bool { return r.head(ref).Class == message.Billing })
	require.GreaterOrEqual(t, at, 0)
	ref, h := refs[at], r.head(refs[at])
	require.Equal(t, message.ViaFile, h.Via)
	require.Equal(t, message.LaneBulk, h.Lane)
	require.True(t, h.Code)
	require.Len(t, h.Answers, 2)
	require.False(t, h.Claim.IsZero())
	var sms message.SMS
	plain, err := r.Store.Open("mizu", ref.ID.String()+"/sms", h.SMS)
	require.NoError(t, err)
	require.NoError(t, message.Event{Data: plain}.Decode(&sms))
	require.Equal(t, "+819000010001", sms.Number)
	require.Contains(t, sms.Text, "水道局です。\nhttps://s.example.jp/")
	var content message.Content
	plain, err = r.Store.Open("mizu", ref.ID.String()+"/page", h.Page)
	require.NoError(t, err)
	require.NoError(t, message.Event{Data: plain}.Decode(&content))
	require.Equal(t, []message.Row{{Item: "今回指針", Value: "682"}, {Item: "使用水量", Value: "44m3"}}, content.Page.Rows)
}

func TestFaultsNameLineColumnMaskedValueAndReason(t *testing.T) {
	r := openRoom(t)
	r.run()
	text := "phone,text,title,birth_date,amount,claim_number,due,send_at,code\n" + // 1
		"9000010001,hello {url},t,19800101,7440,R1," + due() + ",,1\n" + // 2
		"9.00001E+09,hello {url},t,,,,,,\n" + // 3
		"03-1234-5678,hello {url},t,,,,,,\n" + // 4
		"09000010005,\"two\nlines {url}\",t,壊,,,,,\n" + // 5, 6
		"09000010006,hello {url},t,,abc,R2,2026/2/30,,maybe\n" + // 7
		"09000010007,\"open quote,t,,,,,,\n" + // 8
		"09000010008,hello {url},t,,,,,1999-01-01 10:00,\n" + // 9
		"09000010009,hello {url},t,,,,,,,extra\n" + // 10
		"\n" +
		"09000990001,hello {url},t,,,,,,\n" // 12: no such carrier
	st := r.check([]byte(text))
	require.EqualValues(t, 9, st.Rows)
	require.EqualValues(t, 1, st.Good)
	require.EqualValues(t, 8, st.Faulty)
	require.EqualValues(t, 1, st.Restored)
	type fault struct {
		line                int64
		column, code, value string
	}
	var got []fault
	for _, f := range r.list(st.ID, ListFaults) {
		got = append(got, fault{f.Line, f.Column, f.Code, f.Value})
		require.NotEmpty(t, f.Text("ja"))
		require.NotContains(t, f.Text("ja"), f.Field+"：")
	}
	require.Equal(t, []fault{
		{3, "phone", "scientific", "9.****09"},
		{4, "phone", "landline", "031****78"},
		{5, "birth_date", "pattern", "*"},
		{7, "amount", "pattern", "a****"},
		{7, "due", "pattern", "20****30"},
		{7, "code", "pattern", "m****"},
		{8, "", "quote", ""},
		{9, "send_at", "past", "19****00"},
		{10, "", "too_many", ""},
		{12, "phone", "unknown_carrier", "090-****-0001"},
	}, got)
	warnings := r.list(st.ID, ListWarnings)
	require.Equal(t, "zero_restored", warnings[0].Code)
	require.Equal(t, "表計算ソフトで失われた先頭の0を補いました", warnings[0].Text("ja"))

	var out bytes.Buffer
	require.NoError(t, r.WriteCSV(t.Context(), mizu, st.ID, "ja", &out))
	require.True(t, strings.HasPrefix(out.String(), "\ufeff区分,行番号,"))
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(out.String(), "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+10+len(warnings))
	for _, personal := range []string{"9000010001", "9.00001E+09", "03-1234-5678", "19800101", "09000990001"} {
		require.NotContains(t, out.String(), personal)
	}
	_, err = r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.ErrorIs(t, err, ErrFaulty)
	_, err = r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp", GoodOnly: true})
	require.NoError(t, err)
	require.EqualValues(t, 1, r.until(st.ID, Done).Accepted)
	require.Len(t, r.messages(st.ID), 1)
}

func TestFileWithUnknownColumnsIsRefused(t *testing.T) {
	r := openRoom(t)
	r.run()
	fails := func(text string) (*State, []Finding) {
		st := r.until(r.upload([]byte(text)), Failed)
		return st, r.list(st.ID, ListFaults)
	}
	st, found := fails("電話番号,本文,血液型,{name},name,表:星座\n")
	require.Equal(t, ReasonHeader, st.Reason)
	require.Len(t, found, 2, "name is a variable of a template, so it is there twice in effect; 血液型 is none")
	require.Equal(t, "血液型", found[0].Column)
	_, found = fails("本文,タイトル\nあ,い\n")
	require.Equal(t, "電話番号", found[0].Column)
	_, found = fails("09000010001,スイドウ　タロウ\n")
	require.Len(t, found, 1)
	require.Empty(t, found[0].Column, "a first row that is no header is personal")
	_, found = fails("電話番号,09000010001\n")
	require.Equal(t, "09****01", found[0].Column)
	st, _ = fails("電話番号,本文\n\n ,\n")
	require.Equal(t, ReasonEmpty, st.Reason)
	_, err := r.Release(t.Context(), mizu, st.ID, Release{})
	require.ErrorAs(t, err, new(*PhaseError))
}

func TestWrongDigestFails(t *testing.T) {
	r := openRoom(t)
	r.run()
	b := bills(3)
	f := file(b)
	f.SHA256 = digest([]byte("another"))
	st, _, err := r.Begin(t.Context(), "mizu", f)
	require.NoError(t, err)
	_, err = r.Append(t.Context(), mizu, st.ID, 0, bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, ReasonDigest, r.until(st.ID, Failed).Reason)
}

// broken gives n bytes and then fails.
type broken struct {
	r io.Reader
	n int64
}

func (b *broken) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, errors.New("connection reset")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.n)])
	b.n -= int64(n)
	return n, err
}

func TestUploadResumesWhereItBroke(t *testing.T) {
	r := openRoom(t)
	b := []byte("phone,text,lead\n" + strings.Repeat("09000010001,x,"+strings.Repeat("文", 700)+"\n", 1200))
	require.Greater(t, len(b), 2*partBytes)
	st, _, err := r.Begin(t.Context(), "mizu", file(b))
	require.NoError(t, err)
	_, err = r.Append(t.Context(), mizu, st.ID, 0, &broken{bytes.NewReader(b), partBytes + 1000})
	require.ErrorContains(t, err, "connection reset")
	r.reopen()
	again, resumed, err := r.Begin(t.Context(), "mizu", file(b))
	require.NoError(t, err)
	require.True(t, resumed)
	require.Equal(t, st.ID, again.ID)
	require.EqualValues(t, partBytes+1000, again.Offset)
	var offset *OffsetError
	_, err = r.Append(t.Context(), mizu, st.ID, 0, bytes.NewReader(b))
	require.ErrorAs(t, err, &offset)
	require.Equal(t, again.Offset, offset.Have)
	_, err = r.Append(t.Context(), mizu, st.ID, again.Offset, bytes.NewReader(append(b[again.Offset:], 'x')))
	require.ErrorAs(t, err, new(message.Problems), "more than was declared")
	again, err = r.State(t.Context(), mizu, st.ID)
	require.NoError(t, err)
	_, err = r.Append(t.Context(), mizu, st.ID, again.Offset, bytes.NewReader(b[again.Offset:]))
	require.NoError(t, err)
	r.run()
	require.EqualValues(t, 1200, r.until(st.ID, Staged).Rows)
	_, err = r.Append(t.Context(), mizu, st.ID, int64(len(b)), bytes.NewReader(b))
	require.ErrorAs(t, err, new(*PhaseError))
}

func TestConcurrentAppendsKeepOneOfEach(t *testing.T) {
	r := openRoom(t)
	b := bills(2000)
	st, _, err := r.Begin(t.Context(), "mizu", file(b))
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				now, err := r.State(context.Background(), mizu, st.ID)
				if err != nil || now.Phase != Receiving {
					return
				}
				_, _ = r.Append(context.Background(), mizu, st.ID, now.Offset, bytes.NewReader(b[now.Offset:min(int64(len(b)), now.Offset+20_000)]))
			}
		})
	}
	all.Wait()
	r.run()
	require.EqualValues(t, 2000, r.until(st.ID, Staged).Good)
}

func TestUnknownSizeEndsWithFinish(t *testing.T) {
	r := openRoom(t)
	r.run()
	b := bills(10)
	st, _, err := r.Begin(t.Context(), "mizu", File{Name: "a.csv", Size: -1, Via: "console", By: "user:hanako"})
	require.NoError(t, err)
	_, err = r.Finish(t.Context(), mizu, st.ID, "")
	require.ErrorAs(t, err, new(*OffsetError), "nothing came")
	_, err = r.Append(t.Context(), mizu, st.ID, 0, bytes.NewReader(b))
	require.NoError(t, err)
	st, err = r.Finish(t.Context(), mizu, st.ID, digest(b))
	require.NoError(t, err)
	require.EqualValues(t, len(b), st.Size)
	_, err = r.Finish(t.Context(), mizu, st.ID, digest(b))
	require.NoError(t, err, "done twice")
	require.EqualValues(t, 10, r.until(st.ID, Staged).Good)
}

func TestSameFileTwiceIsNoticed(t *testing.T) {
	r := openRoom(t)
	r.run()
	b := bills(5)
	first := r.check(b)
	require.Nil(t, first.Twin)
	_, err := r.Release(t.Context(), mizu, first.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	r.until(first.ID, Done)

	st, resumed, err := r.Begin(t.Context(), "mizu", file(b))
	require.NoError(t, err)
	require.False(t, resumed)
	require.NotNil(t, st.Twin, "noticed before a byte is sent")
	require.Equal(t, first.ID, st.Twin.ID)
	_, err = r.Append(t.Context(), mizu, st.ID, 0, bytes.NewReader(b))
	require.NoError(t, err)
	second := r.until(st.ID, Staged)
	require.Equal(t, Twin{ID: first.ID, Name: "請求.csv", Phase: Done, At: first.BegunAt, By: "key:erp"}, *second.Twin)
	_, err = r.Drop(t.Context(), mizu, second.ID, "key:erp")
	require.NoError(t, err)

	third := r.check(b)
	require.Equal(t, first.ID, third.Twin.ID, "the one that was dropped does not hide the one that was sent")
	var twin *TwinError
	_, err = r.Release(t.Context(), mizu, third.ID, Release{By: "key:erp"})
	require.ErrorAs(t, err, &twin)
	_, err = r.Release(t.Context(), mizu, third.ID, Release{By: "key:erp", Again: true})
	require.NoError(t, err)
	require.EqualValues(t, 5, r.until(third.ID, Done).Accepted)

	other, _, err := r.Begin(t.Context(), "gasu", file(b))
	require.NoError(t, err)
	require.Nil(t, other.Twin, "another tenant's")
	_, err = r.State(t.Context(), tenant.Only("gasu"), first.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
	list, err := r.List(t.Context(), mizu, ulid.ULID{}, 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, third.ID, list[0].ID)
	rest, err := r.List(t.Context(), mizu, list[1].ID, 10)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Equal(t, "請求.csv", rest[0].Name)
}

func TestOneOfManyReleasesWins(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(300))
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			_, err := r.Release(context.Background(), mizu, st.ID, Release{By: fmt.Sprint("user:", i)})
			var phase *PhaseError
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &phase):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load())
	require.EqualValues(t, 49, lost.Load())
	require.EqualValues(t, 300, r.until(st.ID, Done).Accepted)
	require.Len(t, r.messages(st.ID), 300)
	_, err := r.Drop(t.Context(), mizu, st.ID, "user:x")
	require.ErrorAs(t, err, new(*PhaseError))
}

func TestDropWhileChecking(t *testing.T) {
	r := openRoom(t)
	id := r.upload(bills(5000))
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.door.before = func(bool, intake.Request) error {
		once.Do(func() { close(reached); <-goOn })
		return nil
	}
	r.run()
	<-reached
	st, err := r.Drop(t.Context(), mizu, id, "user:hanako")
	require.NoError(t, err)
	require.Equal(t, Dropped, st.Phase)
	close(goOn)
	r.reopen()
	st, err = r.State(t.Context(), mizu, id)
	require.NoError(t, err)
	require.Equal(t, Dropped, st.Phase)
	require.Equal(t, "user:hanako", st.DroppedBy)
}

// TestRestartInEveryPhase stops everything at several places of checking and of releasing.
func TestRestartInEveryPhase(t *testing.T) {
	r := openRoom(t)
	b := bills(2600)
	b = append(b, "0312345678,x,{url},t,\r\n"...)
	id := r.upload(b)
	errStop := errors.New("stopped")
	stops := func(accept bool, phase Phase) {
		for n := range 2 {
			calls, reached := 0, make(chan struct{})
			r.door.before = func(a bool, _ intake.Request) error {
				if calls++; a == accept && calls == 2 {
					close(reached)
				}
				if calls >= 2 {
					return errStop
				}
				return nil
			}
			r.run()
			<-reached
			r.reopen()
			st, err := r.State(t.Context(), mizu, id)
			require.NoError(t, err)
			require.Equal(t, phase, st.Phase)
			if accept {
				require.EqualValues(t, (n+1)*batch, st.Row)
			} else {
				require.EqualValues(t, (n+1)*batch, st.Rows)
			}
		}
	}
	stops(false, Checking)
	r.run()
	st := r.until(id, Staged)
	require.EqualValues(t, 2600, st.Good)
	require.EqualValues(t, 1, st.Faulty)
	require.Len(t, r.list(id, ListFaults), 1)
	r.reopen()
	st, err := r.State(t.Context(), mizu, id)
	require.NoError(t, err)
	require.Equal(t, Staged, st.Phase, "a restart leaves it staged and shown")
	require.Empty(t, r.messages(id))
	_, err = r.Release(t.Context(), mizu, id, Release{By: "key:erp", GoodOnly: true})
	require.NoError(t, err)
	r.reopen()
	stops(true, Releasing)
	r.run()
	st = r.until(id, Done)
	require.EqualValues(t, 2600, st.Accepted)
	require.Zero(t, st.Repeated)
	require.Len(t, r.messages(id), 2600)
}

// crash makes intake accept a batch whose progress is then not committed.
func (r *room) crash(id ulid.ULID, batches int) {
	r.t.Helper()
	calls, reached := 0, make(chan struct{})
	r.door.before = func(accept bool, req intake.Request) error {
		if calls++; calls <= batches {
			return nil
		}
		if calls == batches+1 {
			results, err := r.door.Intake.Accept(context.Background(), req)
			require.NoError(r.t, err)
			for _, res := range results[:len(results)/2] {
				require.True(r.t, res.Accepted(), "%v", res)
			}
			close(reached)
		}
		return errors.New("power failed")
	}
	r.run()
	<-reached
	r.reopen()
}

func TestCrashAfterAcceptanceMakesNoTwin(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(2200))
	r.stop()
	r.start()
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	r.crash(st.ID, 1)
	require.Len(t, r.messages(st.ID), 2*batch)
	r.run()
	end := r.until(st.ID, Done)
	require.EqualValues(t, 2200, end.Accepted)
	require.Zero(t, end.Repeated)
	require.Len(t, r.messages(st.ID), 2200)
}

func TestLongCrashMakesNoTwinWithoutKeys(t *testing.T) {
	r := openRoom(t)
	text := "phone,text\n"
	for i := range 40 { // each number twice
		text += fmt.Sprintf("0900001%04d,hello %d\n", i/2, i)
	}
	r.run()
	st := r.check([]byte(text))
	r.stop()
	r.start()
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	r.crash(st.ID, 0)
	require.Len(t, r.messages(st.ID), 40)
	r.now = func() time.Time { return time.Now().Add(keysHold + time.Hour) }
	r.door.before = func(_ bool, req intake.Request) error { return fmt.Errorf("%d rows given again", len(req.Drafts)) }
	r.run()
	end := r.until(st.ID, Done)
	require.EqualValues(t, 40, end.Accepted)
	require.Len(t, r.messages(st.ID), 40)
}

// ended is a context that ends while Run looks at it: Err says so only from the nth time on.
type ended struct {
	context.Context
	nth atomic.Int32
}

func (e *ended) Err() error {
	if e.nth.Add(-1) >= 0 {
		return nil
	}
	return e.Context.Err()
}

func TestRunEndsWheneverItsContextDoes(t *testing.T) {
	r := openRoom(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for nth := range int32(6) {
		e := &ended{Context: ctx}
		e.nth.Store(nth)
		require.NoError(t, r.Run(e))
	}
}

func TestOwnKeysAreKept(t *testing.T) {
	r := openRoom(t)
	r.run()
	text := "phone,text,key\n09000010001,a,k-1\n09000010002,b,k-2\n09000010003,c,\n"
	first := r.check([]byte(text))
	_, err := r.Release(t.Context(), mizu, first.ID, Release{})
	require.NoError(t, err)
	r.until(first.ID, Done)
	second := r.check([]byte(text + "09000010004,other,k-3\n09000010004,more,k-3\n"))
	_, err = r.Release(t.Context(), mizu, second.ID, Release{})
	require.NoError(t, err)
	end := r.until(second.ID, Done)
	require.EqualValues(t, 2, end.Repeated)
	require.EqualValues(t, 2, end.Accepted)
	require.EqualValues(t, 1, end.Refused)
	refused := r.list(second.ID, ListRefusals)
	require.Len(t, refused, 1)
	require.Equal(t, "key", refused[0].Column)
	require.EqualValues(t, 6, refused[0].Line)
	require.Equal(t, message.Mask("k-3"), refused[0].Value, "a file shows no whole value")
}

// A row that stands in a file twice is one message, whether both are in one batch or not, and also after a crash.
func TestSameRowTwiceInAFileCountsOnce(t *testing.T) {
	r := openRoom(t)
	row := func(n int) string { return fmt.Sprintf("0900001%04d,a,k-%d\n", n, n) }
	text := "phone,text,key\n" + row(0) + row(0)
	for n := 1; n < batch; n++ {
		text += row(n)
	}
	text += row(0) + row(1) // in the second batch
	r.run()
	st := r.check([]byte(text))
	r.stop()
	r.start()
	_, err := r.Release(t.Context(), mizu, st.ID, Release{})
	require.NoError(t, err)
	r.crash(st.ID, 0)
	r.run()
	end := r.until(st.ID, Done)
	require.EqualValues(t, batch, end.Accepted)
	require.EqualValues(t, 3, end.Repeated)
	require.Len(t, r.messages(st.ID), batch)
}

func TestBusyIntakeIsAskedAgain(t *testing.T) {
	r := openRoom(t)
	calls := 0
	inner := r.Intake
	r.Intake = flaky{inner, &calls}
	r.run()
	st := r.check(bills(20))
	require.EqualValues(t, 20, st.Good)
	require.Empty(t, st.Waiting)
	require.GreaterOrEqual(t, calls, 2)
}

// flaky fails every second row of the first call.
type flaky struct {
	Intake
	calls *int
}

func (f flaky) Validate(ctx context.Context, r intake.Request) ([]intake.Result, error) {
	results, err := f.Intake.Validate(ctx, r)
	if *f.calls++; *f.calls == 1 {
		for i := range results {
			if i%2 == 0 {
				results[i].Err = store.ErrBusy
			}
		}
	}
	return results, err
}

func TestErasedContentFailsTheUpload(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(3))
	n, err := r.Store.EraseKeys(time.Now().Add(48*time.Hour), "mizu", "notice")
	require.NoError(t, err)
	require.NotZero(t, n)
	_, err = r.Release(t.Context(), mizu, st.ID, Release{})
	require.NoError(t, err)
	end := r.until(st.ID, Failed)
	require.Equal(t, ReasonErased, end.Reason)
	require.Empty(t, end.Name)
}

func TestBeginNamesWhatIsWrong(t *testing.T) {
	r := openRoom(t)
	_, _, err := r.Begin(t.Context(), "mizu", File{Size: 2 << 30, SHA256: "zz", Settings: Settings{Encoding: "ebcdic", Defaults: message.Draft{To: "1", Class: "x"}}})
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	require.Len(t, ps, 6)
}

func TestDefaultsFillWhatRowsDoNotSay(t *testing.T) {
	r := openRoom(t)
	r.run()
	b := []byte("phone,{name},text\n09000010001,タロウ,\n09000010002,,こんにちは\n")
	f := file(b)
	f.Settings.Defaults = message.Draft{Class: "billing", Template: "bill", Page: &message.Page{Title: "t", Rows: []message.Row{{Item: "a", Value: "b"}}}}
	st, _, err := r.Begin(t.Context(), "mizu", f)
	require.NoError(t, err)
	_, err = r.Append(t.Context(), mizu, st.ID, 0, bytes.NewReader(b))
	require.NoError(t, err)
	st = r.until(st.ID, Staged)
	require.Zero(t, st.Faulty, "%v", r.list(st.ID, ListFaults))
	_, err = r.Release(t.Context(), mizu, st.ID, Release{})
	require.NoError(t, err)
	require.EqualValues(t, 2, r.until(st.ID, Done).Accepted)
}

// TestTheDayOfANumberGoesWithItsMessage: the column 電話番号登録日 from the file to what dispatch asks with.
func TestTheDayOfANumberGoesWithItsMessage(t *testing.T) {
	r := openRoom(t)
	r.run()
	tomorrow := time.Now().In(message.Tokyo).AddDate(0, 0, 1)
	st := r.check([]byte("電話番号,本文,電話番号登録日\r\n09000010001,断水のお知らせ,令和6年5月5日\r\n09000010002,断水のお知らせ,\r\n" +
		"09000010003,断水のお知らせ," + tomorrow.Format("2006/1/2") + "\r\n09000010004,断水のお知らせ,1979/12/31\r\n"))
	require.EqualValues(t, 2, st.Good)
	faults := r.list(st.ID, ListFaults)
	require.Len(t, faults, 2)
	for i, want := range []struct {
		line     int64
		ja, text string
	}{{4, "未来", "must not be in the future"}, {5, "1980", "not before 1980"}} {
		require.Equal(t, want.line, faults[i].Line)
		require.Equal(t, "電話番号登録日", faults[i].Column)
		require.Equal(t, "range", faults[i].Code)
		require.Contains(t, faults[i].Text("en"), want.text)
		require.Contains(t, faults[i].Text("ja"), want.ja)
	}
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp", GoodOnly: true})
	require.NoError(t, err)
	r.until(st.ID, Done)
	days := map[string]string{}
	for _, ref := range r.messages(st.ID) {
		plain, err := r.Store.Open("mizu", ref.ID.String()+"/sms", r.head(ref).SMS)
		require.NoError(t, err)
		var sms message.SMS
		require.NoError(t, message.Decode(plain, &sms))
		days[sms.Number] = sms.Registered
	}
	require.Equal(t, map[string]string{"+819000010001": "2024-05-05", "+819000010002": ""}, days)
}

// It would be the same warning for a million rows.
func TestEasilyGuessedIdentityIsSaidOfOneRow(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check([]byte("phone,text,title,postcode\n09000010001,hello {url},t,1000001\n09000010002,hello {url},t,1000002\n"))
	require.EqualValues(t, 2, st.Good)
	require.EqualValues(t, 1, st.Warned)
	warnings := r.list(st.ID, ListWarnings)
	require.Len(t, warnings, 1)
	require.Equal(t, message.CodeGuessable, warnings[0].Code)
	require.Contains(t, warnings[0].Text("ja"), "推測されやすい")
}
