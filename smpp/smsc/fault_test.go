package smsc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

func TestEveryStatusCanBeAnswered(t *testing.T) {
	var faults []Fault
	var want []string
	for s := pdu.Status(1); s <= 0xFF; s++ {
		if name := s.String(); strings.HasPrefix(name, "ESME_") {
			faults = append(faults, Fault{Suffix: fmt.Sprintf("5%03d", s), Status: name})
			want = append(want, name)
		}
	}
	faults = append(faults, Fault{Suffix: "5999", Status: "0x00000400"}) // a carrier's own
	c := run(t, Config{Faults: faults}, nil)
	e := bind(t, c)
	for i, f := range faults {
		e.submit(t, "81800000"+f.Suffix, "x")
		got := e.waitResults(t, i+1)[i].Status.String()
		if i < len(want) {
			require.Equal(t, want[i], got)
		} else {
			require.Equal(t, "0x00000400", got)
		}
	}
	require.Greater(t, len(want), 45)
	require.Empty(t, c.Ledger(0))
}

func TestFormsOfMessageIDs(t *testing.T) {
	for _, c := range []struct{ id, receipt, wantID, wantReceipt string }{
		{"", "", `^[1-9]\d+$`, `^[1-9]\d+$`},
		{"padded", "decimal", `^0\d{19}$`, `^[1-9]\d+$`},
		{"decimal", "padded", `^[1-9]\d+$`, `^0\d{19}$`},
		{"hex", "hex-short", `^00[0-9A-F]{14}$`, `^[1-9a-f][0-9a-f]*$`},
		{"hex-short", "decimal", `^[1-9a-f][0-9a-f]*$`, `^[1-9]\d+$`},
		{"uuid", "upper", `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, `^[0-9A-F]{8}-[0-9A-F]{4}-4`},
	} {
		t.Run(c.id+"/"+c.receipt, func(t *testing.T) {
			e := bind(t, run(t, Config{MessageID: c.id, ReceiptID: c.receipt}, nil))
			e.submit(t, "818000000001", "x")
			require.Regexp(t, c.wantID, string(e.waitResults(t, 1)[0].MessageID))
			got := strings.SplitN(e.waitReceipts(t, 1)[0], "|", 3)
			require.Regexp(t, c.wantReceipt, got[0])
			require.True(t, strings.HasPrefix(got[2], "id:"+got[0]+" "), "the same in the text")
		})
	}
	require.Equal(t, "1234", string(appendID(nil, "hex-short", 0x1234)))
	require.Equal(t, "x00000000000012AB", string(appendID([]byte("x"), "hex", 0x12AB)))
	require.Equal(t, "00000000000000004660", string(appendID(nil, "padded", 4660)))
}

func TestNumberHasItsOwnFormOfIDs(t *testing.T) {
	e := bind(t, run(t, Config{MessageID: "hex", ReceiptID: "decimal", Faults: []Fault{
		{Suffix: "0002", MessageID: "uuid", ReceiptID: "upper"}, {Suffix: "0003", MessageID: "padded"},
	}}, nil))
	for i, c := range []struct{ dest, id, receipt string }{
		{"818000000001", `^00[0-9A-F]{14}$`, `^[1-9]\d+$`},
		{"818000000002", `^[0-9a-f]{8}-`, `^[0-9A-F]{8}-`},
		{"818000000003", `^0\d{19}$`, `^0\d{19}$`},
	} {
		e.submit(t, c.dest, "x")
		require.Regexp(t, c.id, string(e.waitResults(t, i+1)[i].MessageID))
		id, _, _ := strings.Cut(e.waitReceipts(t, i+1)[i], "|")
		require.Regexp(t, c.receipt, id)
	}
}

func TestReceiptsOfAnyForm(t *testing.T) {
	c := run(t, Config{Faults: []Fault{{Suffix: "71", ReceiptText: "{stat};{id};{err}", State: "UNDELIV", Err: "12345"}, {Suffix: "72", ReceiptForm: "short"}}}, nil)
	e := bind(t, c)
	for i, f := range []struct{ dest, want string }{
		{"818000009706", `^\|0\|id=\d+ sub:0x1 .* stat:DEL$`},
		{"818000009707", `^\d+\|2\|$`},
		{"818000009708", `^\|0\|id:\d+ sub:001 .* stat:DELIVRD err:000 text:$`},
		{"818000009709", `^\|0\|id:\d+ stat:DELIVRD err:0x00000$`},
		{"818000000071", `^\|0\|UNDELIV;\d+;12345$`},
		{"818000000072", `^\|0\|id:\d+ stat:DELIVRD$`},
		{"818000009710", `^\d+\|2\|id:\d+ sub:001 .* stat:DELIVRD err:000 text:$`},
	} {
		e.submit(t, f.dest, "x")
		require.Regexp(t, f.want, e.waitReceipts(t, i+1)[i], f.dest)
	}
	e.mu.Lock()
	require.Contains(t, e.order, "data")
	e.mu.Unlock()
	require.Eventually(t, func() bool { return c.Counts().Receipts == 7 }, patience, time.Millisecond)
}

func TestReceiptOnAnotherBind(t *testing.T) {
	c := run(t, Config{}, nil)
	a, b := bind(t, c), bind(t, c)
	require.Eventually(t, func() bool { return c.Counts().Sessions == 2 }, patience, time.Millisecond)
	a.submit(t, "818000009705", "x")
	b.submit(t, "818000009705", "x")
	require.Len(t, a.waitReceipts(t, 1), 1)
	require.Len(t, b.waitReceipts(t, 1), 1)
	id, _, _ := strings.Cut(a.waitReceipts(t, 1)[0], "|")
	require.Equal(t, string(b.waitResults(t, 1)[0].MessageID), id)
	require.NoError(t, b.Unbind(t.Context())) // alone, it gets its own
	a.submit(t, "818000009705", "x")
	a.waitReceipts(t, 2)
}

func TestRulesOfOneNumberFollowOneAnother(t *testing.T) {
	script, err := ReadScript(strings.NewReader(`
# a number of one's own
{"suffix":"818000000001","status":"ESME_RTHROTTLED","times":2}
{"suffix":"818000000001","status":"0x45","times":1}
{"suffix":"818000000001","state":"UNDELIV","err":"021"}
{"suffix":"0001","status":"ESME_RINVDSTADR"}
`))
	require.NoError(t, err)
	c := run(t, Config{}, nil)
	require.NoError(t, c.SetFaults(script.Faults))
	e := bind(t, c)
	for i, want := range []pdu.Status{pdu.StatusThrottled, pdu.StatusThrottled, pdu.StatusSubmitFailed, pdu.StatusOK, pdu.StatusOK} {
		e.submit(t, "818000000001", "x")
		require.Equal(t, want, e.waitResults(t, i+1)[i].Status)
	}
	require.Contains(t, e.waitReceipts(t, 2)[1], "stat:UNDELIV err:021")
	e.submit(t, "818000010001", "x")
	require.Equal(t, pdu.StatusInvalidDestination, e.waitResults(t, 6)[5].Status)

	for text, want := range map[string]string{
		`{"suffix":"1"}` + "\n" + `{"sufix":"1"}`: "line 2: ", `{"status":"HUH"}`: "line 1: status", `{} {}`: "more than one",
		`{"receipt":"soon"}`: "receipt", `{"receipt_form":"x"}`: "receipt_form", `[`: "line 1",
		`{"message_id":"roman"}`: "message_id", `{"receipt_id":"hex"}`: "receipt_id", `{"message_id":"uuid","receipt_id":"hex"}`: "receipt_id",
		`{"suffix":"1","trouble":{}}`: "line 1: trouble", `{"suffix":"1","after":"1s"}`: "line 1: after", `{"trouble":{"reject":"HUH"}}`: "line 1: trouble.reject",
		`{"trouble":{"dwon":true}}`: "line 1: ", `{"for":"-1s","trouble":{}}`: "line 1: ",
		`{"suffix":"123456789012345678901"}`: "suffix", `{"receipt_text":"` + strings.Repeat("x", 255) + `"}`: "receipt_text",
	} {
		_, err := ReadScript(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

func FuzzReadScript(f *testing.F) {
	f.Add([]byte(`{"suffix":"1","status":"0x45","latency":"3s"}`))
	f.Add([]byte(`{"after":"1m","for":"10s","trouble":{"reject_bind":"ESME_RALYBND"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		script, err := ReadScript(bytes.NewReader(b))
		if err == nil {
			_, err = newRules(script.Faults, builtinFaults)
			require.NoError(t, err)
		}
	})
}

func TestHalfOpenConnectionCountsUntilItIsClosed(t *testing.T) {
	c := run(t, Config{Accounts: []Account{{SystemID: "kakitome", Password: "secret", MaxBinds: 1}}}, nil)
	e := bind(t, c)
	e.submit(t, "818000009504", "x")
	require.ErrorIs(t, e.waitResults(t, 1)[0].Err, session.ErrTimeout)
	require.NoError(t, e.Err(), "it looks alive")
	_, err := dial(t, c, pdu.CmdBindTransceiver)
	var refused *session.BindError
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.AlreadyBound())
	e.Close()
	require.Eventually(t, func() bool { return c.Counts().Sessions == 0 }, patience, time.Millisecond)
	again := bind(t, c)
	again.submit(t, "818000009504", "x")
	require.Equal(t, pdu.StatusOK, again.waitResults(t, 1)[0].Status)
	require.NoError(t, c.SetTrouble(Trouble{Vanish: true})) // and stops with it
	again.submit(t, "818000000001", "x")
	require.ErrorIs(t, again.waitResults(t, 2)[1].Err, session.ErrTimeout)
	require.EqualValues(t, 2, c.Counts().Submits)
}

func TestLostSessionCountsForAWhile(t *testing.T) {
	c := run(t, Config{BindLinger: Duration(200 * time.Millisecond), Accounts: []Account{{SystemID: "kakitome", Password: "secret", MaxBinds: 1}}}, nil)
	bind(t, c).Close()
	require.Eventually(t, func() bool { return c.Counts().Sessions == 0 }, patience, time.Millisecond)
	_, err := dial(t, c, pdu.CmdBindTransceiver)
	require.ErrorContains(t, err, "ESME_RALYBND")
	var e *sender
	require.Eventually(t, func() bool { e, err = dial(t, c, pdu.CmdBindTransceiver); return err == nil }, patience, 10*time.Millisecond)
	require.NoError(t, e.Unbind(t.Context()))
	require.Eventually(t, func() bool { return c.Counts().Sessions == 0 }, patience, time.Millisecond)
	bind(t, c) // unbound: at once
}

func TestCarrierUnbinds(t *testing.T) {
	c := run(t, Config{}, nil)
	e := bind(t, c)
	e.submit(t, "818000009505", "x")
	<-e.Done()
	require.ErrorIs(t, e.Err(), session.ErrPeerUnbound)
	require.Equal(t, pdu.StatusOK, e.waitResults(t, 1)[0].Status)
	require.Eventually(t, func() bool { return c.Counts().Sessions == 0 }, patience, time.Millisecond, "the first is gone")
	a, b := bind(t, c), bind(t, c)
	require.Eventually(t, func() bool { return c.Counts().Sessions == 2 }, patience, time.Millisecond)
	c.Unbind()
	<-a.Done()
	<-b.Done()
	require.ErrorIs(t, b.Err(), session.ErrPeerUnbound)
	require.EqualValues(t, 3, c.Counts().Unbinds)
}

func TestStalledConnectionAloneIsNotRead(t *testing.T) {
	c := run(t, Config{Faults: []Fault{{Suffix: "61", Stall: Duration(time.Hour)}}}, nil)
	a, b := bind(t, c), bind(t, c)
	a.submit(t, "818000000061", "x")
	a.waitResults(t, 1)
	a.submit(t, "818000000001", "x")
	require.ErrorIs(t, a.waitResults(t, 2)[1].Err, session.ErrTimeout)
	b.submit(t, "818000000001", "x")
	require.Equal(t, pdu.StatusOK, b.waitResults(t, 1)[0].Status)
}

func TestDripAndSlowAnswersStillArrive(t *testing.T) {
	c := run(t, Config{LatencyJitter: Duration(time.Millisecond), Faults: []Fault{{Suffix: "62", Latency: Duration(50 * time.Millisecond)}}}, nil)
	e := bind(t, c)
	e.submit(t, "818000000062", "slow")
	e.submit(t, "818000000001", "x")
	r := e.waitResults(t, 2)
	require.Equal(t, "818000000001", r[0].Owner, "the other is not held up")
	require.NoError(t, c.SetTrouble(Trouble{Drip: Duration(100 * time.Microsecond)}))
	e.submit(t, "818000000001", "x")
	require.Eventually(t, func() bool { // in time or late
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, r := range e.results[2:] {
			if r.Outcome == session.Answered {
				return true
			}
		}
		return false
	}, patience, time.Millisecond)
	e.waitReceipts(t, 3)
}

func TestOneConnectionDrips(t *testing.T) {
	c := run(t, Config{Faults: []Fault{{Suffix: "63", Drip: Duration(time.Hour)}}}, nil)
	a, b := bind(t, c), bind(t, c)
	a.submit(t, "818000000063", "x")
	a.waitResults(t, 1)
	a.submit(t, "818000000001", "x")
	require.ErrorIs(t, a.waitResults(t, 2)[1].Err, session.ErrTimeout)
	b.submit(t, "818000000001", "x")
	require.Equal(t, pdu.StatusOK, b.waitResults(t, 1)[0].Status)
}

func TestTroubleComesByTheScript(t *testing.T) {
	script, err := ReadScript(strings.NewReader(`
{"trouble":{"reject":"ESME_RSYSERR"}}
{"after":"1m","for":"10s","trouble":{"reject_bind":"ESME_RALYBND"}}
{"after":"2m","for":"1m","trouble":{"silent":true}}
{"after":"150s","trouble":{"throttle":5}}
{"suffix":"0001","drip":"1ms"}
`))
	require.NoError(t, err)
	require.Len(t, script.Faults, 1)
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{Name: "docomo", Listen: "127.0.0.1:0", Accounts: []Account{{SystemID: "kakitome"}}, Spells: script.Spells}, nil, nil)
		require.NoError(t, err)
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.agenda.run(ctx)
		after := func(d time.Duration) Trouble {
			time.Sleep(d)
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.trouble
		}
		require.Equal(t, pdu.StatusSystemError, after(time.Second).reject)
		now := after(time.Minute) // 61 s
		require.Equal(t, pdu.StatusAlreadyBound, now.rejectBind)
		require.Zero(t, now.reject, "the one before has ended")
		require.Zero(t, after(10*time.Second)) // 71 s
		require.True(t, after(time.Minute).Silent)
		require.Zero(t, after(time.Minute).Silent)
		require.Equal(t, 5.0, after(time.Hour).Throttle, "the end of another spell is not its own")

		require.NoError(t, c.SetSpells([]Spell{{After: Duration(time.Minute), Trouble: Trouble{Down: true}}}))
		require.NoError(t, c.SetSpells([]Spell{{After: Duration(time.Second), For: Duration(time.Minute), Trouble: Trouble{Drip: Duration(time.Second)}}}))
		require.NotZero(t, after(2*time.Second).Drip)
		require.NoError(t, c.SetTrouble(Trouble{NoReceipts: true}))
		require.Equal(t, Trouble{NoReceipts: true}, after(time.Hour), "neither what was replaced nor an end")
		require.ErrorContains(t, c.SetSpells([]Spell{{Trouble: Trouble{Throttle: -1}}}), "spells[0].trouble.throttle")
	})
}

func TestCarrierAsksForABind(t *testing.T) {
	c := run(t, Config{}, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	first, err := dial(t, c, pdu.CmdBindTransmitter)
	require.NoError(t, err)
	first.Close() // the carrier runs
	require.NoError(t, c.Originate(Origin{From: "818000000001", To: "0005", Text: "STOP"}))
	require.NoError(t, c.Outbind(t.Context(), ln.Addr().String(), "knock"))
	conn, err := ln.Accept()
	require.NoError(t, err)
	e := new(sender)
	e.Session, err = session.AnswerOutbind(t.Context(), conn, session.Options{
		Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"}, Settings: e.settings(),
	}, func(o *pdu.Outbind) bool { return o.SystemID == "docomo" && o.Password == "knock" })
	require.NoError(t, err)
	defer e.Close()
	require.Equal(t, "|0|STOP", e.waitReceipts(t, 1)[0])
	require.Error(t, c.Outbind(t.Context(), "127.0.0.1:1", ""))
}

func TestCarrierSpeaksTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return name
	}
	cfg := Config{TLSCertificate: write("cert.pem", "CERTIFICATE", der), TLSKey: write("key.pem", "PRIVATE KEY", keyDER)}
	c := run(t, cfg, nil)
	_, err = dial(t, c, pdu.CmdBindTransceiver) // plain
	require.Error(t, err)
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(cert)
	e := new(sender)
	e.Session, err = session.Dial(t.Context(), session.Options{
		Addr: c.Addr(), TLS: &tls.Config{RootCAs: pool}, Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"}, Settings: e.settings(),
	})
	require.NoError(t, err)
	defer e.Close()
	e.submit(t, "818000000001", "x")
	require.Equal(t, pdu.StatusOK, e.waitResults(t, 1)[0].Status)
	e.waitReceipts(t, 1)
	_, err = New(Config{Name: "x", Listen: "127.0.0.1:0", Accounts: []Account{{SystemID: "k"}}, TLSCertificate: dir, TLSKey: dir}, nil, nil)
	require.ErrorContains(t, err, "tls_certificate")
}

func TestMessagesAreCanceledReplacedAndComeAsDataSM(t *testing.T) {
	c := run(t, Config{ReceiptDelay: Duration(200 * time.Millisecond)}, nil)
	e := bind(t, c)
	ask := func(body pdu.Body) session.Result {
		n := len(e.waitResults(t, 0))
		_, err := e.TrySubmit([]session.Request{{Body: body}})
		require.NoError(t, err)
		return e.waitResults(t, n+1)[n]
	}
	source := pdu.Address{Addr: []byte("0005123456")}
	e.submit(t, "818000000001", "x")
	e.submit(t, "818000000001", "y")
	ids := e.waitResults(t, 2)
	require.Equal(t, pdu.StatusOK, ask(&pdu.CancelSM{MessageID: ids[0].MessageID, Source: source}).Status)
	require.Equal(t, pdu.StatusCancelFailed, ask(&pdu.CancelSM{MessageID: ids[0].MessageID, Source: source}).Status)
	require.Equal(t, pdu.StatusOK, ask(&pdu.ReplaceSM{MessageID: ids[1].MessageID, Source: source, ShortMessage: []byte("new")}).Status)
	require.Equal(t, pdu.StatusReplaceFailed, ask(&pdu.ReplaceSM{MessageID: []byte("1")}).Status)
	receipts := e.waitReceipts(t, 2)
	require.Contains(t, receipts[0], "stat:DELETED")
	require.Contains(t, receipts[1], "stat:DELIVRD")
	require.Equal(t, "new", c.Ledger(0)[1].Text)

	long := strings.Repeat("お知らせ", 60)
	segments, err := coding.Split(long, coding.Options{Join: coding.ByPayload})
	require.NoError(t, err)
	var sm pdu.SM
	require.NoError(t, segments[0].Put(&sm))
	r := ask(&pdu.DataSM{Source: source, Dest: pdu.Address{Addr: []byte("818000000001")}, DataCoding: sm.DataCoding, TLVs: sm.TLVs})
	require.Equal(t, pdu.CmdDataSMResp, r.Command)
	require.NotEmpty(t, r.MessageID)
	require.Equal(t, long, c.Ledger(2)[0].Text)
}

func TestLedgerReadsEveryJoin(t *testing.T) {
	c := run(t, Config{Packed: true}, nil)
	e := bind(t, c)
	want := 0
	for _, o := range []coding.Options{
		{Alphabet: coding.GSM7Packed}, {Alphabet: coding.GSM7Packed, Wide: true}, {Join: coding.BySAR}, {Join: coding.ByPayload},
		{Alphabet: coding.ShiftJIS}, {Alphabet: coding.ISO2022JP, Join: coding.BySAR}, {Alphabet: coding.Latin1},
	} {
		text := strings.Repeat("abc{", 60)
		if o.Alphabet != coding.GSM7Packed && o.Alphabet != coding.Latin1 {
			text = strings.Repeat("お知らせ", 40)
		}
		o.Reference = uint16(want + 1)
		segments, err := coding.Split(text, o)
		require.NoError(t, err)
		for _, s := range segments {
			p := &pdu.SubmitSM{SM: pdu.SM{Source: pdu.Address{Addr: []byte("0005")}, Dest: pdu.Address{Addr: []byte("818000000001")}}}
			require.NoError(t, s.Put(&p.SM))
			_, err := e.TrySubmit([]session.Request{{Body: p}})
			require.NoError(t, err)
		}
		want++
		require.Eventually(t, func() bool { return len(c.Ledger(0)) == want }, patience, time.Millisecond)
		require.Equal(t, text, c.Ledger(0)[want-1].Text)
	}
}

func TestOutbindNeedsARunningCarrier(t *testing.T) {
	c, err := New(Config{Name: "docomo", Listen: "127.0.0.1:0", Accounts: []Account{{SystemID: "kakitome"}}}, nil, nil)
	require.NoError(t, err)
	require.ErrorIs(t, c.Outbind(context.Background(), c.Addr(), ""), session.ErrClosed)
	require.NoError(t, c.Close())
}
