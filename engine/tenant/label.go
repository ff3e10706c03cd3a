package tenant

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Labels are words of the console and its CSV files that read otherwise for a tenant, by kind and code. What is not there, or empty,
// has the console's own word. Codes are the same for everybody.
type Labels map[string]map[string]string

// LabelKind is a set of words that can be changed.
type LabelKind struct {
	Name  string
	Codes []string // in the order in which people meet them
}

// The names of the kinds.
const (
	LabelStatus     = "status"     // ステータス of a message: lists, searches, the stages of its timeline
	LabelClaim      = "claim"      // 決済手続き状況 of its claim
	LabelOutcome    = "outcome"    // the column 決済/回答
	LabelAccess     = "access"     // the column アクセス
	LabelSubmission = "submission" // SMS送信依頼
)

// OutcomeAnswered is the code of 回答済み in the column 決済/回答; its others are those of claims.
const OutcomeAnswered = "answered"

// AccessNone and AccessOpened are the codes of LabelAccess, SubmissionOK that of LabelSubmission.
const (
	AccessNone   = "none"
	AccessOpened = "opened"
	SubmissionOK = "ok"
)

var claimCodes = []string{"unpaid", "in_progress", "awaiting", "accepted", "partly_paid", "paid", "partly_refunded", "refunded", "registered", "settled", "withdrawn", "overdue"}

// LabelKinds are all words that can be changed. The codes are those of the rooms above, which this one does not know; a test of the
// console holds them together.
var LabelKinds = []LabelKind{
	{LabelStatus, []string{"waiting", "link_only", "sending", "in_doubt", "submitted", "delivered", "opened", "identified", "answered", "paying", "paid",
		"undelivered", "unconfirmed", "refused", "lapsed", "canceled", "revoked", "disowned"}},
	{LabelClaim, claimCodes},
	{LabelOutcome, append(slices.Clone(claimCodes), OutcomeAnswered)},
	{LabelAccess, []string{AccessNone, AccessOpened}},
	{LabelSubmission, []string{SubmissionOK}},
}

// MaxLabel is how many characters a label may have: more breaks the console's lists.
const MaxLabel = 20

// Label is the tenant's own word for a code in a language ("ja", "en"); empty: it has none. t may be nil.
func (t *Tenant) Label(kind, code, lang string) string {
	switch {
	case t == nil:
		return ""
	case lang == "en":
		return t.LabelsEN[kind][code]
	}
	return t.Labels[kind][code]
}

// lines are the words that are set, in the order of LabelKinds.
func (l Labels) lines() (all []string) {
	for _, k := range LabelKinds {
		for _, code := range k.Codes {
			if word := l[k.Name][code]; word != "" {
				all = append(all, k.Name+"."+code+": "+word)
			}
		}
	}
	return all
}

func (l Labels) validate(field string, bad func(field, format string, args ...any)) {
	for name, words := range l {
		i := slices.IndexFunc(LabelKinds, func(k LabelKind) bool { return k.Name == name })
		if i < 0 {
			bad(field, "there are no labels of the kind %q", name)
			continue
		}
		for code, word := range words {
			at := fmt.Sprintf("%s.%s.%s", field, name, code)
			switch n := length(word); {
			case !slices.Contains(LabelKinds[i].Codes, code):
				bad(at, "there is no such code")
			case n > MaxLabel:
				bad(at, "has %d characters, %d are allowed", n, MaxLabel)
			case strings.TrimSpace(word) != word || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) && r != '　' }):
				bad(at, "must be one line, without space around it")
			}
		}
	}
}
