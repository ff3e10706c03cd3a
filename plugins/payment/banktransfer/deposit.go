package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

var jst = time.FixedZone("JST", 9*60*60)

const (
	maxDeposits = 100_000
	maxFaults   = 100
)

// deposit is one transfer that came in.
type deposit struct {
	line    int
	account string    // place; of an account that is not ours too
	day     time.Time // 勘定日, in Japan
	inquiry string    // 照会番号, the bank's own number of it, as it stands there
	yen     int64
	payer   string // as the bank wrote it; only ever hashed
}

// statement is what was read of a file.
type statement struct {
	kind     string // "01", "03" (種別) or "csv"
	deposits []deposit
	faults   []*proto.ReportFault
	refused  string // the file as a whole
}

func (s *statement) fault(line int, format string, args ...any) {
	if len(s.faults) < maxFaults {
		s.faults = append(s.faults, &proto.ReportFault{Line: uint32(line), Message: fmt.Sprintf(format, args...)})
	}
}

// ReadReport reads a file of the bank.
func (a *agent) ReadReport(_ context.Context, in *proto.ReportRequest) (*proto.ReportResponse, error) {
	c, fault := a.contract(in.Call)
	if fault != nil {
		return &proto.ReportResponse{Error: fault}, nil
	}
	now := time.Now()
	if in.Call.GetNow().IsValid() {
		now = in.Call.Now.AsTime()
	}
	return c.read(in.Name, in.Body, now), nil
}

func (c *contract) read(name string, body []byte, now time.Time) *proto.ReportResponse {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	var s *statement
	switch {
	case len(body) >= recordLength && body[0] == '1' && (bytes.HasPrefix(body[1:], []byte("01")) || bytes.HasPrefix(body[1:], []byte("03"))):
		s = c.readZengin(body, now)
	default:
		s = readCSV(body)
	}
	if s.refused != "" {
		return &proto.ReportResponse{Error: &proto.Error{Class: proto.ErrorClass_INVALID, Code: "no_statement", Field: "body", Message: s.refused}}
	}
	out := &proto.ReportResponse{Faults: s.faults}
	file, seen := s.named(name), map[string]int{}
	for i := range s.deposits {
		d := &s.deposits[i]
		told := &proto.Deposit{Yen: d.yen, At: timestamppb.New(d.day), Series: s.kind}
		n := d.number()
		id := d.numbered(n)
		switch {
		case n != "" && seen[id] == 0:
			seen[id]++
			told.Id, told.FormerIds = id, d.former(n)
		case n == "" && c.WholeDays && s.kind != notice:
			told.Id = d.unnumbered(seen, "")
		default: // without a number, or with that of another line
			told.Id, told.Series = d.unnumbered(seen, file), s.kind+"/"+file
		}
		out.Rows = append(out.Rows, &proto.ReportRow{Line: uint32(d.line), AgentPaymentId: d.account, Deposit: told})
	}
	return out
}

// number is the bank's own number in one form: a notice has it in six digits, a statement in eight, and a spreadsheet takes the
// zeros. Empty: there is none.
func (d *deposit) number() string {
	n := strings.TrimSpace(d.inquiry)
	if strings.Trim(n, "0123456789 ") == "" {
		n = strings.TrimLeft(n, "0 ")
	}
	return n
}

func (d *deposit) key() string {
	return fmt.Sprintf("%s\n%s\n%d\n", d.account, d.day.Format(time.DateOnly), d.yen)
}

// numbered names the transfer by account, day, amount and the bank's own number: the same in every kind of file.
func (d *deposit) numbered(n string) string { return digest(d.key() + "no\n" + n) }

// former are the ids that the first version gave it: of the number as it stood in a notice, in a statement, or in this file.
func (d *deposit) former(n string) (ids []string) {
	for _, form := range []string{leading(n, 6), leading(n, 8), d.inquiry} {
		if id := d.numbered(form); form != n && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// unnumbered names the transfer by the payer and by which one it is of those that are alike on that day, within a file; without a file
// the statement lists the day whole, so it is the same in each that has the day.
func (d *deposit) unnumbered(seen map[string]int, file string) string {
	key := d.key() + "payer\n" + d.payer
	seen[key]++
	key += fmt.Sprintf("\n%d", seen[key])
	if file != "" {
		key += "\n" + file
	}
	return digest(key)
}

// named tells the file from others that may have the same transfers: by its name and by what it says, however that is written down. A
// bank gives two notices with the same single line two names.
func (s *statement) named(name string) string {
	var b strings.Builder
	b.WriteString(name)
	for i := range s.deposits {
		d := &s.deposits[i]
		fmt.Fprintf(&b, "\n%s%q %q", d.key(), d.inquiry, d.payer)
	}
	return digest(b.String())
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
