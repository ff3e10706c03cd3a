package certificate

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
)

// Committer commits messages to their content when they are accepted. It implements intake's Commits.
type Committer struct{ Config Config }

// Certifies implements intake's Commits.
func (c Committer) Certifies(class message.Class) bool { return c.Config.Certifies(class) }

// Commit puts commitments into a head, and into sms what they are blinded with; both before they are sealed. page is the
// content as JSON, empty: there is none.
func (c Committer) Commit(h *message.Head, sms *message.SMS, page []byte) {
	sms.Blind = make([]byte, 32)
	rand.Read(sms.Blind)
	h.Commit = &message.Commitment{}
	for part, to := range map[string]*[]byte{proof.PartText: &h.Commit.Text, proof.PartPage: &h.Commit.Page, proof.PartNumber: &h.Commit.Number} {
		if plain := plainOf(part, h, sms, page); plain != "" {
			o := proof.Open(sms.Blind, part, plain)
			sum := o.Commitment()
			*to = sum[:]
		}
	}
}

// plainOf is a part of the content as it is committed to: the link in the text stays out, because it works.
func plainOf(part string, h *message.Head, sms *message.SMS, page []byte) string {
	switch part {
	case proof.PartText:
		if h.URL == "" {
			return sms.Text
		}
		return strings.ReplaceAll(sms.Text, h.URL, "{url}")
	case proof.PartPage:
		return string(page)
	case proof.PartNumber:
		return sms.Number
	}
	return ""
}

// errContent: what is sealed is not what the head commits to. It is a fault of the record, not of who asks.
var errContent = errors.New("the sealed content is not what the head commits to")

// openings are text and page as they were accepted; none when the head has no commitments.
func openings(h *message.Head, sms *message.SMS, page []byte) (all []proof.Opening, err error) {
	if h.Commit == nil || len(sms.Blind) == 0 {
		return nil, nil
	}
	for part, want := range map[string][]byte{proof.PartText: h.Commit.Text, proof.PartPage: h.Commit.Page} {
		if len(want) == 0 {
			continue
		}
		o := proof.Open(sms.Blind, part, plainOf(part, h, sms, page))
		if sum := o.Commitment(); string(sum[:]) != string(want) {
			return nil, fmt.Errorf("%s: %w", part, errContent)
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b proof.Opening) int { return strings.Compare(b.Part, a.Part) }) // the text first
	return all, nil
}
