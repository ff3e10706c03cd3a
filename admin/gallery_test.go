package admin

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/admin/signin"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// gallery serves a console with sample data, to be looked at:
//
//	go test ./admin -run TestGallery -timeout 0 -args -gallery 127.0.0.1:8099
//
// http://127.0.0.1:8099/as/admin@mizu?to=/messages signs in as that user and shows the screen.
var gallery = flag.String("gallery", "", "address at which the console is served with sample data")

// fill makes what a day of a water office looks like, and returns some of the messages by what became of them.
func (r *room) fill() map[string]string {
	r.t.Helper()
	ids := map[string]string{}
	due := time.Now().AddDate(0, 0, 20).Format(time.DateOnly)
	tax := int64(551)
	for i := range 34 {
		d := message.Draft{To: fmt.Sprintf("090-000%d-%04d", 1+i%3, 1300+i*7), Text: "〇〇県水道局からお支払いに関するお知らせです。{url}", Reference: fmt.Sprintf("1234567890%02d", i), Class: "billing",
			Page: &message.Page{Title: "水道料金のご請求", Lead: "いつもご利用ありがとうございます。\n下記のとおりご請求申し上げます。",
				Rows:    []message.Row{{Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご使用期間", Value: "31年2～3月分"}, {Item: "水道使用水量", Value: "44m3"}},
				Closing: "行き違いでご入金いただきました場合には、ご容赦ください。"},
			Identity: &message.Identity{Items: []message.IdentityItem{{Field: "customer_number", Value: fmt.Sprint("00000", i)}}, Code: i%2 == 0},
		}
		via := message.ViaAPI
		switch i % 4 {
		case 0:
			d.Claim = &message.Claim{Number: fmt.Sprintf("W-2026-%05d", i), Amount: 7440, Tax: &tax, Due: due, Payer: "書留 太郎"}
		case 1:
			d.Text, d.Class, via = "〇〇県水道局から検針日時のアンケートです。{url}", "notice", message.ViaConsole
			d.Page.Survey = &message.Survey{Lead: "ご都合をお聞かせください。", Items: []message.SurveyItem{{Title: "ご希望の時間帯", Type: "radio", Choices: []string{"午前", "午後"}, Required: true}, {Title: "ご要望", Type: "text"}}}
		}
		if i == 5 {
			d.Reference = "とても長い会員情報の例｜ＡＢＣ株式会社〇〇事業所総務部管理課_0000000000000000001"
		}
		res := r.accept("mizu", via, d)[0]
		carrier, bindName := []string{"docomo", "au", "softbank"}[i%3], []string{"docomo-1", "au-1", "softbank-1"}[i%3]
		part := message.Submission{Part: 1, Attempt: 1, Carrier: carrier, Bind: bindName}
		sent := part
		sent.SMSCID = fmt.Sprintf("5F00A%03d", i)
		if i < 2 { // still waiting
			continue
		}
		r.happen("mizu", res.ID, event(message.LookedUp, message.Lookup{Carrier: carrier, By: "range"}), event(message.Submitting, part))
		name := ""
		switch {
		case i == 3:
			bad := part
			bad.Status, bad.Reason = 0x0B, "permanent"
			r.happen("mizu", res.ID, event(message.Refused, bad))
			name = "refused"
		case i == 4:
			r.happen("mizu", res.ID, event(message.Submitted, sent))
			name = "confirming"
		case i == 6:
			r.happen("mizu", res.ID, event(message.Submitted, sent), event(message.Undelivered, message.Report{Part: 1, Carrier: carrier, Bind: bindName, State: "UNDELIV", Err: "0011"}))
			name = "undelivered"
		case i == 7:
			r.happen("mizu", res.ID, event(message.InDoubt, part))
			name = "doubt"
		default:
			r.happen("mizu", res.ID, event(message.Submitted, sent), event(message.Delivered, message.Report{Part: 1, Carrier: carrier, Bind: bindName, State: "DELIVRD", Err: "000", Done: time.Now()}))
			name = "delivered"
		}
		if i == 9 {
			r.happen("mizu", res.ID, event(message.Opened, message.Opening{}), event(message.Tried, message.Try{Step: "identity"}), event(message.Locked, message.Lock{Until: time.Now().Add(30 * time.Minute)}))
			name = "locked"
		}
		if i > 12 && i%5 != 0 {
			r.happen("mizu", res.ID, event(message.Opened, message.Opening{}), event(message.Tried, message.Try{Step: "identity", OK: true}), event(message.Identified, nil), event(message.Viewed, nil))
			name = "viewed"
			if i%4 == 1 {
				box, err := r.Store.Seal("mizu", "notice", time.Now(), res.ID.String()+"/answer", []byte(`{"0":["午前"],"1":["玄関先に犬がいます"]}`))
				require.NoError(r.t, err)
				r.happen("mizu", res.ID, event(message.Answered, message.SurveyAnswer{Sealed: box}))
				name = "answered"
			}
			if i%4 == 0 {
				at, err := r.Payments.Start(context.Background(), r.tenant("mizu"), r.state("mizu", res.ID.String()).Head.Claim, payment.StartOptions{Method: "konbini_barcode", MessageID: res.ID, ReturnURL: "https://s.example.jp/r"})
				require.NoError(r.t, err)
				if name = "paying"; i == 32 {
					name = "doubtful"
					for _, file := range []string{"transfers-01", "transfers-03"} {
						_, err := r.Payments.Report(context.Background(), r.tenant("mizu"), payment.ReportFile{Agent: "sandbox", Name: file, Body: []byte(at.ID.String() + " 3720")})
						require.NoError(r.t, err)
					}
				} else if i%8 == 0 {
					name = "paid"
					r.paid("mizu", res.ID.String(), at, map[bool]int64{true: 14880, false: 7440}[i == 24])
					if i == 24 {
						name = "overpaid"
					}
				}
			}
		}
		ids[name] = res.ID.String()
	}
	return ids
}

// paid lets the agent have received money for an attempt and asks it.
func (r *room) paid(id tenant.ID, msg string, at payment.Attempt, yen int64) {
	r.t.Helper()
	now := time.Now()
	r.bank.mu.Lock()
	p := r.bank.payments[at.ID.String()]
	p.State, p.PaidYen, p.ProvisionalAt, p.ConfirmedAt = proto.PaymentState_CONFIRMED, yen, timestamppb.New(now.Add(-time.Minute)), timestamppb.New(now)
	r.bank.mu.Unlock()
	st, err := r.Payments.Refresh(context.Background(), tenant.Only(id), r.state(id, msg).Head.Claim)
	require.NoError(r.t, err)
	require.Equal(r.t, yen, st.Received)
}

// upload gives a file and waits until it was checked.
func (r *room) upload(id tenant.ID, name, csv string) *campaign.State {
	r.t.Helper()
	ctx := context.Background()
	f := campaign.File{Name: name, Size: int64(len(csv)), Via: "console", By: "user:sender@" + string(id)}
	f.Settings.Defaults.Class = "notice"
	st, _, err := r.Campaigns.Begin(ctx, id, f)
	require.NoError(r.t, err)
	changed, stop := r.Campaigns.Watch(st.ID)
	defer stop()
	_, err = r.Campaigns.Append(ctx, tenant.Only(id), st.ID, 0, strings.NewReader(csv))
	require.NoError(r.t, err)
	for {
		if st, err = r.Campaigns.State(ctx, tenant.Only(id), st.ID); err != nil || st.Phase != campaign.Receiving && st.Phase != campaign.Checking {
			require.NoError(r.t, err)
			return st
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			r.t.Fatalf("upload is still %s", st.Phase)
		}
	}
}

const sampleCSV = "to,text,reference\n090-0001-0101,〇〇県水道局です。断水のお知らせ,C-1\n090-0002-0102,〇〇県水道局です。断水のお知らせ,C-2\n03-1234-5678,〇〇県水道局です。断水のお知らせ,C-3\n090-0003-0103,,C-4\n"

// openGallery is a console with sample data; /as/{login}?to=… signs in. Its messages and uploads have the names of what became
// of them.
func openGallery(t *testing.T) (h http.Handler, messages map[string]string, uploads map[string]*campaign.State) {
	t.Helper()
	ctx := t.Context()
	r := openRoom(t)
	messages = r.fill()
	r.money(messages)
	uploads = r.campaigns()
	r.phones()
	r.notified(ctx)
	require.Equal(t, http.StatusSeeOther, r.enter("admin@mizu").bring("断水のお知らせ（〇〇町1丁目～3丁目）.pdf", paper(t, "a"), "水道料金表 2026年度.pdf", paper(t, "b"), "ご利用の手引き.pdf", paper(t, "c")).status)
	r.past.set(curves)
	require.NoError(t, r.Audit.Record(ctx, "mizu", audit.Entry{By: "operator", Action: "tenant.apply", Detail: "brand.phone: 000-000-0000 → 000-000-0001\nallow: 192.0.2.0/24 → 192.0.2.0/25\npolicy.segments: 1 → 2"}))
	_, key, err := r.Directory.IssueKey(ctx, "mizu", "erp")
	require.NoError(t, err)
	require.NoError(t, r.Audit.Record(ctx, "mizu", audit.Entry{By: "operator", Action: "apikey.issue", Target: key.ID, Detail: "erp"}))
	s, err := r.door.Password(ctx, "admin@gasu", testPassword, netip.MustParseAddr("127.0.0.1")) // is asked for a code
	require.NoError(t, err)
	f, err := r.door.Begin(s)
	require.NoError(t, err)
	code, err := totp.GenerateCode(f.Secret, time.Now())
	require.NoError(t, err)
	_, err = r.door.Confirm(ctx, s, f.Sealed, code, netip.MustParseAddr("127.0.0.1"))
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/as/{login}", func(w http.ResponseWriter, req *http.Request) {
		s, err := r.door.Password(req.Context(), req.PathValue("login"), testPassword, netip.MustParseAddr("127.0.0.1"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		r.setCookie(w, req, cookieName, r.door.Cookie(s), signin.Life)
		_ = back(w, req, req.URL.Query().Get("to"))
	})
	mux.Handle("/", r.Handler())
	return mux, messages, uploads
}

func TestGallery(t *testing.T) {
	if *gallery == "" {
		t.Skip("needs -args -gallery ADDRESS")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	h, messages, uploads := openGallery(t)
	ln, err := net.Listen("tcp", *gallery)
	require.NoError(t, err)
	for name, id := range messages {
		fmt.Println(name, id)
	}
	for name, st := range uploads {
		fmt.Println(name, st.ID)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	<-ctx.Done()
	require.NoError(t, srv.Close())
}
