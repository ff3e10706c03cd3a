package smsc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// run starts a carrier and stops it with the test.
func run(t *testing.T, cfg Config, file *bytes.Buffer) *Carrier {
	t.Helper()
	cfg.Name, cfg.Listen = "docomo", "127.0.0.1:0"
	if cfg.Accounts == nil {
		cfg.Accounts = []Account{{SystemID: "kakitome", Password: "secret"}}
	}
	var c *Carrier
	var err error
	if file != nil {
		c, err = New(cfg, file, nil)
	} else {
		c, err = New(cfg, nil, nil)
	}
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the carrier does not stop")
		}
	})
	return c
}

// sender is an ESME that notes what it gets.
type sender struct {
	*session.Session
	mu       sync.Mutex
	results  []session.Result
	receipts []string // "TLV id|TLV state|text"
	order    []string // "resp", "dlr", and "data" for a data_sm, as they came
	ack      pdu.Status
}

func (e *sender) settings() session.Settings {
	return session.Settings{
		Window: 100, ResponseTimeout: 300 * time.Millisecond,
		OnResults: func(_ *session.Session, batch []session.Result) {
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, r := range batch {
				r.MessageID = bytes.Clone(r.MessageID)
				r.Body = bytes.Clone(r.Body)
				e.results = append(e.results, r)
				e.order = append(e.order, "resp")
			}
		},
		OnRequests: func(_ *session.Session, batch []session.Incoming) {
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, in := range batch {
				id, _ := in.SM.TLVs.CString(pdu.TagReceiptedMessageID)
				state, _ := in.SM.TLVs.Uint(pdu.TagMessageState)
				text := string(in.SM.Text())
				if a, ok := coding.FromDataCoding(in.SM.DataCoding); ok {
					text = coding.Decode(a, in.SM.Text())
				}
				what := "dlr"
				if in.Command == pdu.CmdDataSM {
					what = "data"
				}
				e.receipts = append(e.receipts, fmt.Sprintf("%s|%d|%s", id, state, text))
				e.order = append(e.order, what)
				_ = in.Reply.Respond(e.ack)
				e.ack = pdu.StatusOK
			}
		},
	}
}

func dial(t *testing.T, c *Carrier, mode pdu.Command) (*sender, error) {
	t.Helper()
	e := new(sender)
	before := c.Counts().Binds
	s, err := session.Dial(t.Context(), session.Options{
		Addr: c.Addr(), Bind: pdu.Bind{Mode: mode, SystemID: "kakitome", Password: "secret"}, Settings: e.settings(),
	})
	if err != nil {
		return nil, err
	}
	e.Session = s
	t.Cleanup(s.Close)
	require.Eventually(t, func() bool { return c.Counts().Binds > before }, patience, time.Millisecond, "the carrier knows the session a little later")
	return e, nil
}

func bind(t *testing.T, c *Carrier) *sender {
	t.Helper()
	e, err := dial(t, c, pdu.CmdBindTransceiver)
	require.NoError(t, err)
	return e
}

func (e *sender) submit(t *testing.T, dest, text string) {
	t.Helper()
	segments, err := coding.Split(text, coding.Options{Reference: 7})
	require.NoError(t, err)
	for _, seg := range segments {
		_, err = e.TrySubmit([]session.Request{{Owner: dest, Body: &pdu.SubmitSM{SM: pdu.SM{
			Source: pdu.Address{Addr: []byte("0005123456")}, Dest: pdu.Address{TON: 1, NPI: 1, Addr: []byte(dest)},
			RegisteredDelivery: pdu.RegisteredAll, ESMClass: seg.ESMClass(), DataCoding: seg.Alphabet.DataCoding(), ShortMessage: seg.Data,
		}}}})
		require.NoError(t, err)
	}
}

func (e *sender) waitResults(t *testing.T, n int) []session.Result {
	t.Helper()
	require.Eventually(t, func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.results) >= n }, patience, time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.results
}

func (e *sender) waitReceipts(t *testing.T, n int) []string {
	t.Helper()
	require.Eventually(t, func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.receipts) >= n }, patience, time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.receipts
}

func TestMessageIsAnsweredRecordedAndReceipted(t *testing.T) {
	var file bytes.Buffer
	c := run(t, Config{MessageID: "hex", ReceiptID: "decimal"}, &file)
	watched := make(chan Message, 10)
	defer c.Watch(watched)()
	e := bind(t, c)
	e.submit(t, "818000000001", "〇〇水道局です。")
	r := e.waitResults(t, 1)[0]
	require.Equal(t, pdu.StatusOK, r.Status)
	require.Regexp(t, `^00[0-9A-F]{14}$`, string(r.MessageID))

	receipt := strings.SplitN(e.waitReceipts(t, 1)[0], "|", 3)
	var n uint64
	_, err := fmt.Sscanf(string(r.MessageID), "%X", &n)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(n), receipt[0], "hex in the response, decimal in the receipt")
	require.Equal(t, "2", receipt[1])
	require.Regexp(t, `^id:`+receipt[0]+` sub:001 dlvrd:001 submit date:\d{10} done date:\d{10} stat:DELIVRD err:000 text:$`, receipt[2])

	m := <-watched
	require.Equal(t, "〇〇水道局です。", m.Text)
	require.Equal(t, "0005123456", m.Source)
	require.Equal(t, string(r.MessageID), m.ID)
	require.Equal(t, "DELIVRD", c.Ledger(0)[0].State)
	require.Empty(t, c.Ledger(1))
	require.Eventually(t, func() bool { return c.Counts().Receipts == 1 }, patience, time.Millisecond)

	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []line
	for l := range bytes.Lines(file.Bytes()) {
		var v line
		require.NoError(t, json.Unmarshal(l, &v))
		lines = append(lines, v)
	}
	require.Len(t, lines, 2)
	require.Equal(t, "received", lines[0].Event)
	require.Equal(t, "state", lines[1].Event)
}

func TestNumbersChooseTheOutcome(t *testing.T) {
	c := run(t, Config{}, nil)
	for _, f := range []struct {
		dest    string
		answers []string // of submissions one after another
		state   string   // of the receipt, "" for none
	}{
		{"818000009401", []string{"ESME_RINVDSTADR", "ESME_RINVDSTADR"}, ""},
		{"818000009402", []string{"ESME_RSUBMITFAIL"}, ""},
		{"818000009408", []string{"ESME_RSYSERR", "ESME_ROK"}, "DELIVRD"},
		{"818000009414", []string{"ESME_RMSGQFUL", "ESME_ROK"}, "DELIVRD"},
		{"818000009458", []string{"ESME_RTHROTTLED", "ESME_RTHROTTLED", "ESME_ROK"}, "DELIVRD"},
		{"818000009500", []string{"in doubt"}, ""},
		{"818000009501", []string{"in doubt"}, "DELIVRD"},
		{"818000009502", []string{"lost"}, ""},
		{"818000009601", []string{"ESME_ROK"}, "UNDELIV"},
		{"818000009602", []string{"ESME_ROK"}, "EXPIRED"},
		{"818000009603", []string{"ESME_ROK"}, "REJECTD"},
		{"818000009604", []string{"ESME_ROK"}, "UNKNOWN"},
		{"818000009605", []string{"ESME_ROK"}, "DELETED"},
		{"818000009702", []string{"ESME_ROK"}, ""},
	} {
		t.Run(f.dest[8:], func(t *testing.T) {
			e := bind(t, c)
			for i, want := range f.answers {
				e.submit(t, f.dest, "x")
				r := e.waitResults(t, i+1)[i]
				switch want {
				case "in doubt":
					require.ErrorIs(t, r.Err, session.ErrTimeout)
				case "lost":
					require.Equal(t, session.InDoubt, r.Outcome)
					<-e.Done()
				default:
					require.Equal(t, want, r.Status.String())
				}
			}
			if f.state != "" {
				require.Contains(t, e.waitReceipts(t, 1)[0], "stat:"+f.state)
				if f.answers[0] != "in doubt" { // the carrier owes no answer
					require.NoError(t, e.Unbind(t.Context()), "acknowledged, so not sent to the next")
				}
			}
		})
	}
	// What the carrier did not accept is not in its ledger.
	for _, m := range c.Ledger(0) {
		require.NotRegexp(t, regexp.MustCompile(`(9401|9402|9500|9502)$`), m.Dest)
	}
}

func TestDroppedConnectionAfterAcceptance(t *testing.T) {
	c := run(t, Config{}, nil)
	e := bind(t, c)
	e.submit(t, "818000009503", "x")
	<-e.Done()
	require.Equal(t, session.InDoubt, e.waitResults(t, 1)[0].Outcome)
	again := bind(t, c) // the receipt waits for the next bind
	require.Contains(t, again.waitReceipts(t, 1)[0], "DELIVRD")
}

func TestReceiptBeforeTheResponseAndTwice(t *testing.T) {
	c := run(t, Config{ReceiptForm: "text"}, nil)
	e := bind(t, c)
	e.submit(t, "818000009704", "x")
	receipts := e.waitReceipts(t, 2)
	require.Equal(t, receipts[0], receipts[1])
	require.True(t, strings.HasPrefix(receipts[0], "|0|id:"), "no TLVs: %s", receipts[0])

	e2 := new(sender)
	set := e2.settings()
	set.ResponseTimeout = patience
	var err error
	e2.Session, err = session.Dial(t.Context(), session.Options{Addr: c.Addr(), Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"}, Settings: set})
	require.NoError(t, err)
	defer e2.Close()
	require.Eventually(t, func() bool { return c.Counts().Receipts == 2 }, patience, time.Millisecond, "what e did not answer would come to e2")
	e.Close()
	e2.submit(t, "818000009701", "x")
	e2.waitResults(t, 1)
	require.Equal(t, []string{"dlr", "resp"}, e2.order)
}

func TestSenderRule(t *testing.T) {
	c := run(t, Config{Sources: []string{"0312345678", "2????"}}, nil)
	for source, want := range map[string]bool{"0312345678": true, "25555": true, "255556": false, "0005123456": false, "": false} {
		require.Equal(t, want, c.approved([]byte(source)), source)
	}
	e := bind(t, c)
	e.submit(t, "818000000001", "x")
	require.Equal(t, pdu.StatusInvalidSource, e.waitResults(t, 1)[0].Status)
	require.EqualValues(t, 1, c.Counts().Refused["ESME_RINVSRCADR"])
}

func TestSegmentsAreJoined(t *testing.T) {
	c := run(t, Config{}, nil)
	e := bind(t, c)
	text := strings.Repeat("お支払いのご案内です。", 20)
	e.submit(t, "818000000001", text)
	e.waitResults(t, 4)
	e.waitReceipts(t, 4)
	all := c.Ledger(0)
	require.Len(t, all, 1)
	require.Equal(t, text, all[0].Text)
	require.Len(t, all[0].IDs, 4)
	require.Equal(t, "DELIVRD", all[0].State)
}

func TestBindsAreChecked(t *testing.T) {
	c := run(t, Config{Accounts: []Account{{SystemID: "kakitome", Password: "secret", MaxBinds: 1}, {SystemID: "other", Password: "x"}}}, nil)
	refused := func(id, password string) pdu.Status {
		_, err := session.Dial(t.Context(), session.Options{Addr: c.Addr(), Bind: pdu.Bind{SystemID: id, Password: password}})
		var e *session.BindError
		require.ErrorAs(t, err, &e)
		return e.Status
	}
	require.Equal(t, pdu.StatusInvalidSystemID, refused("nobody", "secret"))
	require.Equal(t, pdu.StatusInvalidPassword, refused("other", "secret"))
	e := bind(t, c)
	require.Equal(t, pdu.StatusAlreadyBound, refused("kakitome", "secret"))
	require.NoError(t, e.Unbind(t.Context()))
	require.Eventually(t, func() bool { return c.Counts().Sessions == 0 }, patience, time.Millisecond)
	bind(t, c)
	require.NoError(t, c.SetTrouble(Trouble{RejectBind: "ESME_RBINDFAIL"}))
	require.Equal(t, pdu.StatusBindFailed, refused("other", "x"))
}

func TestReceiptsGoToReceiversOnlyAndAreRepeatedWhenRefused(t *testing.T) {
	c := run(t, Config{}, nil)
	tx, err := dial(t, c, pdu.CmdBindTransmitter)
	require.NoError(t, err)
	tx.submit(t, "818000000001", "x")
	tx.waitResults(t, 1)
	require.Eventually(t, func() bool { return c.Counts().ReceiptsWaiting == 1 }, patience, time.Millisecond)
	rx := new(sender)
	rx.ack = pdu.StatusReceiverTemporaryError
	rx.Session, err = session.Dial(t.Context(), session.Options{
		Addr: c.Addr(), Bind: pdu.Bind{Mode: pdu.CmdBindReceiver, SystemID: "kakitome", Password: "secret"}, Settings: rx.settings(),
	})
	require.NoError(t, err)
	defer rx.Close()
	rx.waitReceipts(t, 1)
	require.Eventually(t, func() bool { return c.Counts().ReceiptsRefused == 1 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return c.Counts().Receipts == 1 }, receiptPause+patience, 10*time.Millisecond)
	require.Empty(t, tx.receipts)
}

func TestRateAndTrouble(t *testing.T) {
	c := run(t, Config{Rate: 10}, nil)
	e := bind(t, c)
	for range 20 {
		e.submit(t, "818000000001", "x")
	}
	e.waitResults(t, 20)
	require.Greater(t, c.Counts().Refused["ESME_RTHROTTLED"], uint64(10))

	require.NoError(t, c.SetTrouble(Trouble{Reject: "ESME_RSYSERR"}))
	e.submit(t, "818000000001", "x")
	require.Equal(t, pdu.StatusSystemError, e.waitResults(t, 21)[20].Status)
	require.NoError(t, c.SetTrouble(Trouble{Silent: true}))
	e.submit(t, "818000000001", "x")
	require.ErrorIs(t, e.waitResults(t, 22)[21].Err, session.ErrTimeout)
	require.NoError(t, c.SetTrouble(Trouble{Down: true}))
	<-e.Done()
	_, err := dial(t, c, pdu.CmdBindTransceiver)
	require.Error(t, err)
	require.NoError(t, c.SetTrouble(Trouble{}))
	bind(t, c)
	require.Error(t, c.SetTrouble(Trouble{Reject: "nonsense"}))
}

func TestMoreThanTheWindowIsRefused(t *testing.T) {
	c := run(t, Config{Window: 5, Latency: Duration(200 * time.Millisecond)}, nil)
	e := bind(t, c)
	for range 8 {
		e.submit(t, "818000000001", "x")
	}
	refused := 0
	for _, r := range e.waitResults(t, 8) {
		if r.Status == pdu.StatusMessageQueueFull {
			refused++
		}
	}
	require.Equal(t, 3, refused)
	require.EqualValues(t, 5, c.Counts().Accepted)
}

func TestStalledCarrierReadsNothingUntilItGoesOn(t *testing.T) {
	c := run(t, Config{}, nil)
	e := bind(t, c)
	require.NoError(t, c.SetTrouble(Trouble{Stall: true}))
	e.submit(t, "818000000001", "x")
	require.ErrorIs(t, e.waitResults(t, 1)[0].Err, session.ErrTimeout)
	require.Zero(t, c.Counts().Submits)
	require.NoError(t, c.SetTrouble(Trouble{}))
	r := e.waitResults(t, 2)[1] // the late answer
	require.True(t, r.Late)
	require.NotEmpty(t, r.MessageID)
	require.NoError(t, c.SetTrouble(Trouble{Stall: true})) // and stops while stalled
}

func TestRulesOfTheConfigurationComeFirst(t *testing.T) {
	c := run(t, Config{NoBuiltinFaults: true, MessageID: "uuid", Faults: []Fault{{Suffix: "77", Status: "0x45", Times: 1}}}, nil)
	e := bind(t, c)
	e.submit(t, "818000009401", "x")
	r := e.waitResults(t, 1)[0]
	require.Equal(t, pdu.StatusOK, r.Status)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, string(r.MessageID))
	e.submit(t, "818000000077", "x")
	require.Equal(t, pdu.StatusSubmitFailed, e.waitResults(t, 2)[1].Status)
	e.submit(t, "818000000077", "x")
	require.Equal(t, pdu.StatusOK, e.waitResults(t, 3)[2].Status)
}

func TestPhonesCanWriteAndMessagesBeQueried(t *testing.T) {
	var file bytes.Buffer
	c := run(t, Config{}, &file)
	e := bind(t, c)
	require.NoError(t, c.Originate(Origin{From: "818000000001", To: "0005123456", Text: "STOP 配信停止"}))
	require.Equal(t, "|0|STOP 配信停止", e.waitReceipts(t, 1)[0])
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		lines := strings.Split(strings.TrimSpace(file.String()), "\n")
		return len(lines) == 2 && strings.HasPrefix(lines[0], `{"event":"phone","of":1,`) && strings.HasPrefix(lines[1], `{"event":"taken","part":1,"of":1,`)
	}, patience, time.Millisecond, "what a phone wrote is in the ledger, and that it was taken")
	require.Error(t, c.Originate(Origin{SystemID: "nobody"}))

	e.submit(t, "818000000001", "x")
	id := e.waitResults(t, 1)[0].MessageID
	e.waitReceipts(t, 2)
	_, err := e.TrySubmit([]session.Request{{Body: &pdu.QuerySM{MessageID: id, Source: pdu.Address{Addr: []byte("0005123456")}}}})
	require.NoError(t, err)
	var resp pdu.QuerySMResp
	require.NoError(t, resp.ParseBody(e.waitResults(t, 2)[1].Body))
	require.EqualValues(t, pdu.StateDelivered, resp.MessageState)
}

func TestLedgerKeepsTheLast(t *testing.T) {
	l := newLedger(3, nil)
	for i := range 10 {
		l.add(Message{ID: fmt.Sprint(i)}, &pdu.SM{}, false)
	}
	kept := l.since(0)
	require.Len(t, kept, 3)
	require.Equal(t, "7", kept[0].ID)
	require.Len(t, l.since(9), 1)
	require.Nil(t, l.find("0"))
	require.Len(t, l.byID, 3)
}

func TestConfigurationFaultsAreAllNamed(t *testing.T) {
	err := (&Config{
		Listen: "0.0.0.0:1", MessageID: "octal", Rate: -1, ReceiptForm: "x",
		Accounts: []Account{{SystemID: "k", Password: "123456789"}},
		Faults:   []Fault{{Status: "huh"}, {State: "GONE"}, {Receipt: "x"}},
	}).Validate()
	for _, want := range []string{"name:", "loopback", "message_id", "rate", "receipt_form", "accounts[0].password", "faults[0].status", "faults[1].state", "faults[2].receipt"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "123456789")
}

func TestWhatCannotBeRecordedIsNotAcknowledged(t *testing.T) {
	cfg := Config{Name: "x", Listen: "127.0.0.1:0", Accounts: []Account{{SystemID: "kakitome", Password: "secret"}}}
	c, err := New(cfg, failingWriter{}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	e := bind(t, c)
	e.submit(t, "818000000001", "x")
	require.Equal(t, session.InDoubt, e.waitResults(t, 1)[0].Outcome)
	cancel()
	require.NoError(t, <-done)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }
