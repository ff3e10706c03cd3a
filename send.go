package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/uploads"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/private"
)

// sendCommand is the sender's client: it uploads a file in parts, shows what is wrong with it, and releases it. Begun again
// after a break it goes on where it stopped, because the server knows the unfinished upload by the file's digest.
//
// The result is nil when all rows were accepted (with -dry-run: when none is faulty), a *partly (exit code 3) when rows are
// faulty or refused, another error otherwise.
func sendCommand(ctx context.Context, args []string) error {
	fs := flags("send")
	s := &sender{in: os.Stdin, out: os.Stdout, err: os.Stderr, ja: japanese(), pause: 500 * time.Millisecond}
	base := fs.String("api", "", "address of the API, https://…")
	keyFile := fs.String("key-file", "", "file with the API key, mode 0600; - reads it from standard input")
	ca := fs.String("ca", "", "PEM file of the certificates to trust, instead of the system's")
	settings := fs.String("settings", "", "JSON file: {\"encoding\":…,\"defaults\":{…}}, what the rows do not say")
	fs.BoolVar(&s.dryRun, "dry-run", false, "check the file and drop it")
	fs.BoolVar(&s.yes, "yes", false, "release without asking when no row is faulty")
	fs.BoolVar(&s.goodOnly, "good-only", false, "leave faulty rows out and release the others without asking")
	fs.BoolVar(&s.again, "again", false, "release although the same file was uploaded before")
	fs.BoolVar(&s.canary, "canary", false, "send to the tenant's seed numbers first, and go on when all arrived")
	fs.StringVar(&s.faults, "faults", "", "file to write all findings to, as CSV")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *base == "" || *keyFile == "" {
		return errUsage
	}
	var err error
	if s.key, err = readKey(*keyFile, s.in); err != nil {
		return err
	}
	s.asks = *keyFile != "-" && terminal(os.Stdin)
	s.bar = terminal(os.Stderr)
	if s.base, s.http, err = client(*base, *ca); err != nil {
		return err
	}
	if *settings != "" {
		data, err := os.ReadFile(*settings)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&s.settings); err != nil {
			return fmt.Errorf("%s: %w", *settings, err)
		}
	}
	return s.send(ctx, fs.Arg(0))
}

// partly says that not all rows were accepted. The program exits with 3.
type partly struct{ text string }

func (e *partly) Error() string { return e.text }

// japanese reports whether the environment asks for Japanese.
func japanese() bool {
	return strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "ja")
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// readKey reads an API key from a file that only its owner may read, or from standard input.
func readKey(path string, stdin io.Reader) (string, error) {
	r := stdin
	if path != "-" {
		f, err := private.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	key := strings.TrimSpace(string(data))
	if !strings.HasPrefix(key, "kk_") || strings.ContainsAny(key, " \r\n\t") {
		return "", errors.New("that is no API key: one line, kk_…, is expected")
	}
	return key, nil
}

// client makes the HTTP client. Plain HTTP would show the key to the network: it is for the own machine only.
func client(base, ca string) (string, *http.Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return "", nil, fmt.Errorf("-api: %q is no address such as https://api.example.jp", base)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return "", nil, fmt.Errorf("-api: %s must be https:// (http:// only on this machine)", base)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return "", nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return "", nil, fmt.Errorf("-ca: %s has no certificate", ca)
		}
	}
	return strings.TrimRight(base, "/"), &http.Client{
		Timeout:       3 * time.Minute,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// sender is one run of the command.
type sender struct {
	base, key string
	http      *http.Client
	settings  campaign.Settings
	faults    string

	dryRun, yes, goodOnly, again, canary bool

	in       io.Reader
	out, err io.Writer
	asks     bool // somebody is there to answer
	bar      bool // progress is drawn over itself
	ja       bool
	pause    time.Duration // between looks at the upload, and before the first retry
	shown    string
}

// t picks the language.
func (s *sender) t(ja, en string) string {
	if s.ja {
		return ja
	}
	return en
}

func (s *sender) send(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	digest := sha256.New()
	size, err := io.Copy(digest, f)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if size == 0 {
		return fmt.Errorf(s.t("%s は空です", "%s is empty"), path)
	}
	var up uploads.Upload
	begin := uploads.Begin{Name: filepath.Base(path), Size: &size, SHA256: hex.EncodeToString(digest.Sum(nil)), Settings: s.settings}
	if err := s.call(ctx, http.MethodPost, uploads.Path, begin, &up); err != nil {
		return err
	}
	if up.Resumed {
		s.say(s.t("前回の続きから送信します（%s、%s まで送信済み）", "going on with upload %s at %s"), up.ID, bytesText(up.Offset))
	}
	st, err := s.upload(ctx, f, &up)
	if err != nil {
		return err
	}
	if st, err = s.follow(ctx, st.ID, campaign.Staged); err != nil {
		return err
	}
	if err := s.report(ctx, st); err != nil {
		return err
	}
	switch {
	case st.Phase == campaign.Failed:
		return &partly{s.t("ファイルを受け付けできません：", "the file cannot be taken: ") + s.reason(st.Reason)}
	case s.dryRun:
		if err := s.call(ctx, http.MethodDelete, uploads.Path+"/"+st.ID.String(), nil, nil); err != nil {
			return err
		}
		s.say(s.t("確認のみ行いました。送信していません。", "checked only; nothing was sent"))
		if st.Faulty > 0 {
			return &partly{fmt.Sprintf(s.t("%d行にエラーがあります", "%d rows are faulty"), st.Faulty)}
		}
		return nil
	}
	return s.release(ctx, st)
}

// upload sends what the server does not have yet. What fails for a time is tried again, from where the server then is.
func (s *sender) upload(ctx context.Context, f io.ReaderAt, up *uploads.Upload) (*campaign.State, error) {
	st := up.State
	buf := make([]byte, 1<<20)
	failures := 0
	for st.Phase == campaign.Receiving {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), st.Size-st.Offset)], st.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the file: %w", err)
		}
		if n == 0 {
			return nil, errors.New(s.t("送信中にファイルが変更されました", "the file changed while it was sent"))
		}
		var next uploads.Upload
		err = s.once(ctx, http.MethodPut, uploads.Path+"/"+st.ID.String()+"?offset="+strconv.FormatInt(st.Offset, 10), buf[:n], &next)
		switch refusal := (*refused)(nil); {
		case err == nil:
			st, failures = next.State, 0
		case errors.As(err, &refusal) && refusal.field() == "offset":
			var now uploads.Upload
			if err := s.call(ctx, http.MethodGet, uploads.Path+"/"+st.ID.String(), nil, &now); err != nil {
				return nil, err
			}
			if st = now.State; failures > 20 {
				return nil, refusal
			}
			failures++
		case failures < 10 && again(err):
			failures++
			if err := s.rest(ctx, s.pause<<min(failures, 6)); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
		s.progress(s.t("送信中", "uploading"), st.Offset, st.Size, bytesText)
	}
	return st, nil
}

// follow waits until the upload is in the phase, or over.
func (s *sender) follow(ctx context.Context, id ulid.ULID, phase campaign.Phase) (*campaign.State, error) {
	for {
		var up uploads.Upload
		if err := s.call(ctx, http.MethodGet, uploads.Path+"/"+id.String(), nil, &up); err != nil {
			return nil, err
		}
		switch up.Phase {
		case campaign.Checking:
			s.progress(s.t("確認中", "checking"), up.Line, max(up.Lines, up.Line), message.Grouped)
		case campaign.Probing:
			s.progress(s.t("カナリア送信中", "canary"), arrived(up.Canary), int64(len(up.Canary.Seeds)), message.Grouped)
		case campaign.Releasing, campaign.Done:
			s.progress(s.t("受付中", "accepting"), up.Row, up.Rows, message.Grouped)
		}
		if up.Phase == phase || up.Over() || up.Phase == campaign.Stopped || up.Phase == campaign.Canceling || up.Paused != nil {
			s.endProgress()
			return up.State, nil
		}
		if err := s.rest(ctx, s.pause); err != nil {
			s.endProgress()
			return nil, fmt.Errorf(s.t("中断しました。アップロード %s は %s のままです：%w", "stopped; upload %s stays %s: %w"), id, up.Phase, err)
		}
	}
}

func (s *sender) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// report prints what checking found.
func (s *sender) report(ctx context.Context, st *campaign.State) error {
	if st.Rows > 0 {
		fmt.Fprintf(s.out, s.t("%s行（正常 %s、エラー %s、注意 %s）　文字コード %s\n", "%s rows (%s good, %s faulty, %s with warnings), encoding %s\n"),
			message.Grouped(st.Rows), message.Grouped(st.Good), message.Grouped(st.Faulty), message.Grouped(st.Warned), st.Encoding)
	}
	if st.Restored > 0 {
		fmt.Fprintf(s.out, s.t("%s行の電話番号に、失われた先頭の0を補いました\n", "the leading zero of %s phone numbers was restored\n"), message.Grouped(st.Restored))
	}
	if st.Twin != nil {
		fmt.Fprintf(s.out, s.t("同じ内容のファイルが %s にアップロードされています（%s、%s、%s）\n", "the same file was uploaded at %s (%s, %s, %s)\n"),
			st.Twin.At.Local().Format("2006/01/02 15:04"), st.Twin.Name, st.Twin.By, st.Twin.Phase)
	}
	if err := s.table(ctx, st.ID, campaign.ListFaults, st.Faults); err != nil {
		return err
	}
	if s.faults != "" && st.Faults+st.Warnings > 0 {
		return s.saveFindings(ctx, st.ID)
	}
	return nil
}

const tableRows = 20

// table prints the first findings of a list.
func (s *sender) table(ctx context.Context, id ulid.ULID, l campaign.List, total int64) error {
	if total == 0 {
		return nil
	}
	var page uploads.Findings
	if err := s.call(ctx, http.MethodGet, fmt.Sprintf("%s/%s/%s?limit=%d", uploads.Path, id, l, tableRows), nil, &page); err != nil {
		return err
	}
	rows := [][]string{{s.t("行", "line"), s.t("列", "column"), s.t("値", "value"), s.t("理由", "reason")}}
	for _, f := range page.Findings {
		rows = append(rows, []string{strconv.FormatInt(f.Line, 10), f.Column, f.Value, f.Text})
	}
	widths := make([]int, 3)
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], columnsOf(row[i]))
		}
	}
	for _, row := range rows {
		line := ""
		for i, w := range widths {
			line += row[i] + strings.Repeat(" ", w-columnsOf(row[i])+2)
		}
		fmt.Fprintln(s.out, line+row[3])
	}
	if left := total - int64(len(page.Findings)); left > 0 {
		fmt.Fprintf(s.out, s.t("ほか%s件（-faults OUT.csv ですべて保存できます）\n", "and %s more (-faults OUT.csv saves all)\n"), message.Grouped(left))
	}
	return nil
}

// columnsOf is how many columns of a terminal a text takes.
func columnsOf(text string) (n int) {
	for _, r := range text {
		n++
		if r >= 0x1100 && (r < 0xff61 || r > 0xffdc) {
			n++
		}
	}
	return n
}

func (s *sender) saveFindings(ctx context.Context, id ulid.ULID) error {
	res, err := s.do(ctx, http.MethodGet, uploads.Path+"/"+id.String()+"/findings.csv", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	f, err := os.OpenFile(s.faults, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("save %s: %w", s.faults, err)
	}
	s.say(s.t("すべてのエラーと注意を %s に保存しました", "all findings are in %s"), s.faults)
	return nil
}

// release decides with whoever is there whether to send, and follows the upload to its end.
func (s *sender) release(ctx context.Context, st *campaign.State) error {
	staged := func(why string) error {
		return &partly{fmt.Sprintf(s.t("%s。アップロード %s は確認済みのまま保存されています", "%s; upload %s stays staged"), why, st.ID)}
	}
	body := uploads.Release{Again: s.again, GoodOnly: st.Faulty > 0, Canary: s.canary}
	switch {
	case st.Good == 0:
		return staged(s.t("送信できる行がありません", "there is no good row"))
	case st.Twin != nil && !s.again:
		if !s.ask(s.t("同じファイルがすでにアップロードされています。それでも送信しますか", "The same file was uploaded before. Send it all the same")) {
			return staged(s.t("同じファイルがすでにアップロードされています（送信するには -again）", "the same file was uploaded before (-again sends it)"))
		}
		body.Again = true
	}
	switch {
	case st.Faulty > 0 && !s.goodOnly:
		if !s.ask(fmt.Sprintf(s.t("エラーの%s行を除き、%s件を送信しますか", "Leave %s faulty rows out and send %s"), message.Grouped(st.Faulty), message.Grouped(st.Good))) {
			return staged(s.t("エラーのある行があります（除いて送信するには -good-only）", "there are faulty rows (-good-only leaves them out)"))
		}
	case st.Faulty == 0 && !s.yes && !s.goodOnly:
		if !s.ask(fmt.Sprintf(s.t("%s件を送信しますか", "Send %s"), message.Grouped(st.Good))) {
			return staged(s.t("送信していません（確認せずに送信するには -yes）", "nothing was sent (-yes sends without asking)"))
		}
	}
	var up uploads.Upload
	err := s.call(ctx, http.MethodPost, uploads.Path+"/"+st.ID.String()+"/release", body, &up)
	var refusal *refused
	if errors.As(err, &refusal) && refusal.field() == "phase" && slices.Contains(releasedPhases, campaign.Phase(refusal.value())) {
		err = nil // released already: by an answer that was lost, or by somebody else
	}
	if err != nil {
		return err
	}
	if st, err = s.follow(ctx, st.ID, campaign.Done); err != nil {
		return err
	}
	switch {
	case st.Phase == campaign.Failed:
		return errors.New(s.t("中断しました：", "failed: ") + s.reason(st.Reason))
	case st.Phase == campaign.Stopped:
		return &partly{fmt.Sprintf(s.t("カナリア送信で停止しました（%s に届いていません）。アップロード %s を続けるか、この携帯電話会社を除くか、取り消すかを選んでください",
			"the canary stopped: nothing arrived at %s; go on with upload %s, drop the carrier, or cancel it"), strings.Join(st.Canary.Failed, ", "), st.ID)}
	case st.Canceled != nil:
		return &partly{fmt.Sprintf(s.t("アップロード %s は %s により取り消されました", "upload %s was canceled by %s"), st.ID, st.Canceled.By)}
	case st.Paused != nil:
		return &partly{fmt.Sprintf(s.t("アップロード %s は %s により一時停止されています（受付 %s件）", "upload %s is paused by %s, %s rows are in"), st.ID, st.Paused.By, message.Grouped(st.Accepted))}
	}
	if st.Canary != nil && st.Canary.WentOn != nil {
		s.say(s.t("カナリア送信はすべて届きました", "the canary arrived everywhere"))
	}
	fmt.Fprintf(s.out, s.t("%s件を受け付けました（受付済み %s件、エラー %s件）\n", "%s accepted, %s known already, %s refused\n"), message.Grouped(st.Accepted), message.Grouped(st.Repeated), message.Grouped(st.Refused))
	if err := s.table(ctx, st.ID, campaign.ListRefusals, st.Refusals); err != nil {
		return err
	}
	if st.Refused > 0 && s.faults != "" {
		if err := s.saveFindings(ctx, st.ID); err != nil {
			return err
		}
	}
	if n := st.Faulty + st.Refused; n > 0 {
		return &partly{fmt.Sprintf(s.t("%s行は送信していません", "%s rows were not sent"), message.Grouped(n))}
	}
	return nil
}

// releasedPhases are those that a release may have led to already.
var releasedPhases = []campaign.Phase{campaign.Probing, campaign.Stopped, campaign.Releasing, campaign.Done}

// arrived counts the seeds that were delivered.
func arrived(c *campaign.Canary) (n int64) {
	for _, p := range c.Seeds {
		if p.Phase == message.Arrived {
			n++
		}
	}
	return n
}

func (s *sender) reason(r campaign.Reason) string {
	words := map[campaign.Reason][2]string{
		campaign.ReasonDigest:  {"送信中に内容が変わりました", "its content changed on the way"},
		campaign.ReasonHeader:  {"列名に誤りがあります", "its columns are wrong"},
		campaign.ReasonEmpty:   {"データがありません", "it has no row"},
		campaign.ReasonNotCSV:  {"CSVとして読み取れません", "it cannot be read as CSV"},
		campaign.ReasonTooMany: {"行数が上限を超えています", "it has too many rows"},
		campaign.ReasonErased:  {"保存期間が過ぎました", "it was kept no longer"},
	}
	if w, ok := words[r]; ok {
		return s.t(w[0], w[1])
	}
	return string(r)
}

// ask asks a question whose answer is no when nobody is there.
func (s *sender) ask(question string) bool {
	if !s.asks {
		return false
	}
	fmt.Fprint(s.err, question+"? [y/N] ")
	answer, _ := bufio.NewReader(s.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "はい":
		return true
	}
	return false
}

// say prints a line beside the results.
func (s *sender) say(format string, args ...any) { fmt.Fprintf(s.err, format+"\n", args...) }

// progress shows how far something is: as a bar, or a line every tenth where nobody watches.
func (s *sender) progress(what string, n, of int64, text func(int64) string) {
	if of <= 0 {
		return
	}
	part := int(min(n, of) * 10 / of)
	if !s.bar {
		if line := fmt.Sprintf("%s %d%%", what, part*10); line != s.shown {
			s.shown = line
			s.say("%s (%s / %s)", line, text(n), text(of))
		}
		return
	}
	const width = 30
	full := int(min(n, of) * width / of)
	fmt.Fprintf(s.err, "\r\x1b[K%s [%s%s] %s / %s", what, strings.Repeat("#", full), strings.Repeat(".", width-full), text(n), text(of))
	s.shown = what
}

func (s *sender) endProgress() {
	if s.bar && s.shown != "" {
		fmt.Fprintln(s.err)
	}
	s.shown = ""
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// refused is an answer of the API that is no success.
type refused struct {
	status  int
	problem api.Problem
	after   time.Duration // Retry-After
}

func (e *refused) Error() string {
	text := cmp.Or(e.problem.Title, http.StatusText(e.status))
	for _, f := range e.problem.Errors {
		text += "; " + f.Text
	}
	return fmt.Sprintf("%s (HTTP %d)", text, e.status)
}

func (e *refused) field() string {
	if len(e.problem.Errors) == 0 {
		return ""
	}
	return e.problem.Errors[0].Field
}

func (e *refused) value() string { return e.problem.Errors[0].Value }

// again reports whether a failed call is worth another try.
func again(err error) bool {
	var r *refused
	if errors.As(err, &r) {
		return r.status == http.StatusTooManyRequests || r.status >= 500
	}
	var network *url.Error
	return errors.As(err, &network) && !errors.Is(err, context.Canceled)
}

// call is once, again where that may help; every call but that of bytes may be repeated.
func (s *sender) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for failures := 0; ; failures++ {
		err := s.once(ctx, method, path, body, out)
		if err == nil || failures == 8 || !again(err) {
			return err
		}
		wait := s.pause << min(failures, 6)
		if r := (*refused)(nil); errors.As(err, &r) {
			wait = max(wait, r.after)
		}
		if err := s.rest(ctx, wait); err != nil {
			return err
		}
	}
}

func (s *sender) once(ctx context.Context, method, path string, body []byte, out any) error {
	res, err := s.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return fmt.Errorf("read the answer of the API: %w", err)
	}
	return nil
}

// do makes a request; an answer that is no success is a *refused.
func (s *sender) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Accept-Language", s.t("ja", "en"))
	switch {
	case method == http.MethodPut:
		req.Header.Set("Content-Type", "application/octet-stream")
	case len(body) > 0:
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.http.Do(req)
	if err != nil || res.StatusCode/100 == 2 {
		return res, err
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	r := &refused{status: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		r.after = time.Duration(min(seconds, 60)) * time.Second
	}
	if json.Unmarshal(data, &r.problem) != nil && utf8.Valid(data) {
		r.problem.Title = strings.TrimSpace(string(data[:min(len(data), 200)]))
	}
	return nil, r
}
