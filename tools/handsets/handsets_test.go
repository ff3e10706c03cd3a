package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/tools/built"
)

// carriers builds and starts tools/smsc and returns its addresses by name.
func carriers(t *testing.T) map[string]string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "smsc.toml")
	require.NoError(t, os.WriteFile(config, []byte(`http = "127.0.0.1:0"
[[carrier]]
name = "docomo"
listen = "127.0.0.1:0"
  [[carrier.accounts]]
  system_id = "kakitome"
  password = "secret"
`), 0o600))
	cmd := exec.Command(built.Program(t, "tools/smsc"), "-config", config)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		require.NoError(t, cmd.Wait())
	})
	return addresses(t, stdout)
}

func addresses(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	ready, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	addrs := make(map[string]string)
	for _, pair := range strings.Fields(ready)[1:] {
		k, v, _ := strings.Cut(pair, "=")
		addrs[k] = v
	}
	return addrs
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}

func TestPhoneShowsWhatTheCarrierDelivered(t *testing.T) {
	smsc := carriers(t)
	received := make(chan string, 10)
	esme, err := session.Dial(t.Context(), session.Options{
		Addr: smsc["docomo"], Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"},
		Settings: session.Settings{OnRequests: func(_ *session.Session, batch []session.Incoming) {
			for _, in := range batch {
				received <- string(in.SM.ShortMessage)
				_ = in.Reply.Respond(pdu.StatusOK)
			}
		}},
	})
	require.NoError(t, err)
	defer esme.Close()
	send := func(dest, text string) {
		segments, err := coding.Split(text, coding.Options{})
		require.NoError(t, err)
		for _, seg := range segments {
			_, err := esme.Submit(t.Context(), []session.Request{{Body: &pdu.SubmitSM{SM: pdu.SM{
				Source: pdu.Address{Addr: []byte("0312345678")}, Dest: pdu.Address{Addr: []byte(dest)},
				ESMClass: seg.ESMClass(), DataCoding: seg.Alphabet.DataCoding(), ShortMessage: seg.Data,
			}}}})
			require.NoError(t, err)
		}
	}
	send("818000000101", "【〇〇県水道局】認証番号は 482913 です。") // before the phones are there
	send("818000009601", "never delivered")

	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- start(ctx, options{listen: "127.0.0.1:0", smsc: "http://" + smsc["http"]}, w, slog.New(slog.DiscardHandler))
	}()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	base := "http://" + addresses(t, r)["http"]
	var list string
	require.Eventually(t, func() bool { // the phones that were there come before the connection is said to be up
		list = get(t, base+"/")
		return strings.Contains(list, "キャリアに接続しています")
	}, 30*time.Second, 10*time.Millisecond)
	require.Contains(t, list, "080-0000-0101")
	require.NotContains(t, list, "never delivered")
	page := get(t, base+"/phones/1")
	require.Contains(t, page, `<strong class="code">482913</strong>`)
	require.Contains(t, page, "03-1234-5678")

	// A new message is told to the open page.
	resp, err := http.Get(base + "/phones/1/events")
	require.NoError(t, err)
	defer resp.Body.Close()
	events := bufio.NewScanner(resp.Body)
	require.True(t, events.Scan()) // retry
	send("818000000101", "<b>お支払い</b>はこちら https://example.jp/a/SQND01gr。")
	for events.Scan() && events.Text() != "data: changed" {
	}
	page = get(t, base+"/phones/1")
	require.Contains(t, page, `<a href="https://example.jp/a/SQND01gr" rel="noreferrer">https://example.jp/a/SQND01gr</a>。`)
	require.Contains(t, page, "&lt;b&gt;")
	require.NotContains(t, page, "<b>お支払い")

	// An answer goes to the sender.
	answer, err := http.PostForm(base+"/phones/1/reply", url.Values{"text": {"STOP"}})
	require.NoError(t, err)
	_ = answer.Body.Close()
	require.Equal(t, "/phones/1", answer.Request.URL.Path)
	require.Equal(t, "STOP", <-received)
	require.Contains(t, get(t, base+"/phones/1"), `<div class="sms out"><p>STOP</p>`)

	// The number is searched for in the body, and does not come into a URL.
	found, err := http.PostForm(base+"/search", url.Values{"number": {"０８０-0000-0101"}})
	require.NoError(t, err)
	_ = found.Body.Close()
	require.Equal(t, "/phones/1", found.Request.URL.Path)
	req, err := http.NewRequest(http.MethodPost, base+"/phones/1/reply", strings.NewReader("text=x"))
	require.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	foreign, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_ = foreign.Body.Close()
	require.Equal(t, http.StatusForbidden, foreign.StatusCode)
	require.Contains(t, get(t, base+"/phones/99"), "携帯電話の見本")
}

func TestPieces(t *testing.T) {
	for text, want := range map[string][]piece{
		"認証番号は 482913 です":              {{Text: "認証番号は "}, {Text: "482913", Code: true}, {Text: " です"}},
		"Your code is 70213.":          {{Text: "Your code is "}, {Text: "70213", Code: true}, {Text: "."}},
		"料金は 12345 円です":                {{Text: "料金は 12345 円です"}},
		"確認番号 1234、電話 03-1234-5678":    {{Text: "確認番号 "}, {Text: "1234", Code: true}, {Text: "、電話 03-1234-5678"}},
		"見る https://example.jp/a/x1。次": {{Text: "見る "}, {Text: "https://example.jp/a/x1", Link: true}, {Text: "。次"}},
		"(http://example.com/code)":    {{Text: "("}, {Text: "http://example.com/code", Link: true}, {Text: ")"}},
		"javascript:alert(1)":          {{Text: "javascript:alert(1)"}},
		"":                             nil,
	} {
		require.Equal(t, want, pieces(text), text)
	}
}

func TestNumbersAreShownAsAPhoneDoes(t *testing.T) {
	for address, want := range map[string]string{
		"818012345678": "080-1234-5678", "09012345678": "090-1234-5678", "0312345678": "03-1234-5678",
		"0005123456": "0005123456", "25555": "25555", "KAKITOME": "KAKITOME", "0120123456": "0120-123-456", "819": "819",
	} {
		require.Equal(t, want, display(address))
	}
}

func TestBookIsBoundedAndEntersOnce(t *testing.T) {
	b := newBook()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for i := range maxMessages + 10 {
		for range 2 {
			b.add("818000000001", "docomo", message{ID: fmt.Sprint(i), Text: fmt.Sprint(i), At: at.Add(time.Duration(i) * time.Second)})
		}
	}
	p, ok := b.find(1)
	require.True(t, ok)
	require.Len(t, p.Messages, maxMessages)
	require.Equal(t, maxMessages+10, p.Count)
	require.Equal(t, fmt.Sprint(maxMessages+9), p.Last().Text)
	b.add("818000000001", "au", message{ID: "old", Text: "old", At: at.Add(50*time.Second + 1)})
	p, _ = b.find(1)
	require.NotEqual(t, "old", p.Last().Text)
	require.Equal(t, "au", p.Carrier)

	for i := range maxPhones {
		b.add(fmt.Sprintf("8190%08d", i), "au", message{Text: "x", At: at.Add(time.Hour)})
	}
	_, total := b.list("", 1)
	require.Equal(t, maxPhones, total)
	_, ok = b.find(1) // silent the longest
	require.False(t, ok)
	phones, total := b.list("090-0000-0042", 10)
	require.Equal(t, 1, total)
	require.Equal(t, "819000000042", phones[0].Number)
	_, total = b.list("名前", 10)
	require.Zero(t, total)
}

func TestPhonesRememberEarlierRuns(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger.ndjson")
	f := &feed{book: newBook()}
	require.NoError(t, f.recall(ledger), "nothing was sent yet")
	require.NoError(t, os.WriteFile(ledger, []byte(
		`{"event":"received","seq":1,"carrier":"docomo","id":"1","source":"0312345678","dest":"819000010001","text":"あ","state":"ENROUTE"}
{"event":"state","seq":1,"carrier":"docomo","id":"1","source":"0312345678","dest":"819000010001","text":"あ","state":"DELIVRD","state_at":"2026-11-22T04:10:43Z"}
{"event":"state","seq":2,"carrier":"docomo","id":"2","source":"0312345678","dest":"819000010002","text":"い","state":"UNDELIV","state_at":"2026-11-22T04:10:43Z"}
{"event":"state","seq":3,"carr`), 0o600))
	require.NoError(t, f.recall(ledger))
	phones, total := f.book.list("", 10)
	require.Equal(t, 1, total)
	require.Equal(t, "819000010001", phones[0].Number)
	require.Equal(t, "あ", phones[0].Last().Text)
	require.NoError(t, f.recall(ledger), "what is seen twice is entered once")
	require.Equal(t, 1, phones[0].Count)

	require.NoError(t, os.WriteFile(ledger, []byte("{\n"), 0o600))
	require.ErrorContains(t, f.recall(ledger), "ledger.ndjson")
}
