package journey

import (
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/proto"
)

// The whole way is tested over a real server in linkserver/web.

func TestAnswersMustFitTheSurvey(t *testing.T) {
	fault := func(kind proto.SurveyFault_Kind, given, limit uint32) *proto.SurveyFault {
		return &proto.SurveyFault{Kind: kind, Given: given, Limit: limit}
	}
	missing, unknown := fault(proto.SurveyFault_MISSING, 0, 0), fault(proto.SurveyFault_UNKNOWN, 0, 0)
	long, longer := strings.Repeat("あ", 200), strings.Repeat("あ", 213)
	for name, c := range map[string]struct {
		typed  map[string][]string
		taken  page.Answers
		faults page.Faults
	}{
		"all": {map[string][]string{"q0": {"応募する"}, "q1": {"時給", "業務内容"}, "q2": {long}},
			page.Answers{0: {"応募する"}, 1: {"時給", "業務内容"}, 2: {long}}, page.Faults{}},
		"only what is required": {map[string][]string{"q0": {"辞退する"}}, page.Answers{0: {"辞退する"}}, page.Faults{}},
		"nothing":               {nil, page.Answers{}, page.Faults{0: missing}},
		"blank":                 {map[string][]string{"q0": {" "}}, page.Answers{}, page.Faults{0: missing}},
		"two of one":            {map[string][]string{"q0": {"応募する", "辞退する"}}, page.Answers{}, page.Faults{0: fault(proto.SurveyFault_TOO_MANY, 2, 1)}},
		"an unknown one":        {map[string][]string{"q0": {"応募"}}, page.Answers{}, page.Faults{0: unknown}},
		"an unknown choice":     {map[string][]string{"q0": {"応募する"}, "q1": {"時給", "別の理由"}}, page.Answers{0: {"応募する"}, 1: {"時給"}}, page.Faults{1: unknown}},
		"twice the same":        {map[string][]string{"q0": {"応募する", "応募する"}}, page.Answers{0: {"応募する"}}, page.Faults{}},
		"two texts":             {map[string][]string{"q0": {"応募する"}, "q2": {"a", "b"}}, page.Answers{0: {"応募する"}, 2: {"a"}}, page.Faults{2: fault(proto.SurveyFault_TOO_MANY, 2, 1)}},
		"too long a text":       {map[string][]string{"q2": {longer}}, page.Answers{2: {longer}}, page.Faults{0: missing, 2: fault(proto.SurveyFault_TOO_LONG, 213, 200)}},
	} {
		answers, faults := readAnswers(survey, c.typed)
		require.Equal(t, c.taken, answers, name)
		require.Equal(t, c.faults, faults, name)
	}
}

func TestAnswerHasOneKindOfLineEnd(t *testing.T) {
	answers, faults := readAnswers(survey, map[string][]string{"q0": {"応募する"}, "q2": {"a\r\revent: gone\r\nb\n"}})
	require.Empty(t, faults)
	require.Equal(t, []string{"a\n\nevent: gone\nb"}, answers[2])
}

func TestSessionHoldsForItsLinkAndTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := link.Link{Token: "a/SQND01gr"}
	s := NewSession(l.Token, now)
	require.True(t, s.Holds(l, now))
	require.False(t, s.Holds(link.Link{Token: "a/SQND01gs"}, now))
	require.False(t, s.Holds(l, now.Add(SessionIdle)))
	s.Seen = now.Add(SessionLife).Unix()
	require.False(t, s.Holds(l, now.Add(SessionLife)), "in any case so long")
	require.False(t, s.Holds(l, now.Add(-time.Hour)), "not from the future")
	before := s.ID
	s.promote(In)
	require.NotEqual(t, before, s.ID, "forms of the step before are worth nothing")
}

func TestAgentPagesAreHTTPS(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://pay.example.jp/p?x=1": true, "http://127.0.0.1:9/p": true, "http://localhost/p": true,
		"http://pay.example.jp/": false, "javascript:alert(1)": false, "//pay.example.jp/": false, "": false, "/p": false,
		"https://user:secret@pay.example.jp/": false, "data:text/html,x": false, "https:///p": false,
		"https://[2001:db8::1]:8443/p": true, "https://pay.example.jp:8443/p": true,
		"https://pay.example.jp;form-action/p": false, "https://[fe80::1%25a;script-src%20*]/p": false, "https://a,b.example.jp/": false,
		"https://*/p": false, "https://支払.example.jp/": false,
	} {
		_, ok := agentPage(raw)
		require.Equal(t, want, ok, raw)
	}
}

func TestOpeningsOfMachinesAreDoubtful(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	j := New(Options{Now: func() time.Time { return now }})
	visit := func(agent string, s message.State) string {
		return j.doubt(&visit{Visit: &Visit{Agent: agent}, state: s})
	}
	const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
	const android = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36"
	linkOnly := message.State{}
	require.Empty(t, visit(phone, linkOnly))
	require.Empty(t, visit(android, linkOnly))
	require.Empty(t, visit("Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", linkOnly))
	require.Equal(t, "scanner", visit("cubot googlebot", linkOnly))
	for _, agent := range []string{"", "Googlebot/2.1", "facebookexternalhit/1.1", "curl/8.5", "Slackbot-LinkExpanding 1.0", "WhatsApp/2", "python-requests/2"} {
		require.Equal(t, "scanner", visit(agent, linkOnly), agent)
	}
	submitted := message.State{Head: message.Head{Parts: 1}, SubmittingAt: now.Add(-2 * time.Second), SubmittedAt: now.Add(-time.Second)}
	require.Equal(t, "early", visit(phone, submitted))
	submitted.SubmittingAt, submitted.SubmittedAt = now.Add(-4*time.Second), now.Add(-3*time.Second)
	require.Empty(t, visit(phone, submitted))
	require.Equal(t, "early", visit(phone, message.State{Head: message.Head{Parts: 1}}), "before it was sent")
}

func TestLastFactIsOfWhatWasPaidOrIssued(t *testing.T) {
	at := func(h int) time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(h) * time.Hour) }
	require.True(t, (&payment.State{}).LastFact().IsZero())
	require.True(t, (&payment.State{Attempts: []*payment.Attempt{{StartedAt: at(1)}}}).LastFact().IsZero(), "a try that gave nothing")
	issued := &payment.Attempt{Start: payment.Start{ID: ulid.ULID{1}}, StartedAt: at(1), IssuedAt: at(2), Voucher: &payment.Voucher{PaymentNumber: "1"}}
	require.Equal(t, at(2), (&payment.State{Attempts: []*payment.Attempt{issued}}).LastFact())
	canceled := *issued
	canceled.Phase = payment.WasCanceled
	require.True(t, (&payment.State{Attempts: []*payment.Attempt{&canceled}}).LastFact().IsZero())
	issued.Received, issued.ConfirmedAt = 100, at(9)
	require.Equal(t, at(9), (&payment.State{Attempts: []*payment.Attempt{issued}}).LastFact())
	require.Equal(t, at(11), (&payment.State{Attempts: []*payment.Attempt{issued}, Receipts: []*payment.Paper{{Receipt: payment.Receipt{Issued: at(11)}}}}).LastFact())
}
