package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	inquiry string    // 照会番号, the bank's own number of it; empty or zeros: none
	yen     int64
	payer   string // as the bank wrote it; only ever hashed
}

// statement is what was read of a file.
type statement struct {
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
	return c.read(in.Body, now), nil
}

func (c *contract) read(body []byte, now time.Time) *proto.ReportResponse {
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
	seen := map[string]int{}
	for i := range s.deposits {
		d := &s.deposits[i]
		out.Rows = append(out.Rows, &proto.ReportRow{Line: uint32(d.line), AgentPaymentId: d.account,
			Deposit: &proto.Deposit{Id: d.id(seen), Yen: d.yen, At: timestamppb.New(d.day)}})
	}
	return out
}

// id names the transfer: by account, day, amount and the bank's own number. Where a bank gives none, by the payer and by which one
// it is of those that are alike on that day; a statement lists a day whole, so it is the same in each that has the day.
func (d *deposit) id(seen map[string]int) string {
	key := fmt.Sprintf("%s\n%s\n%d\n", d.account, d.day.Format(time.DateOnly), d.yen)
	if strings.Trim(d.inquiry, "0 ") != "" {
		key += "no\n" + d.inquiry
	} else {
		key += "payer\n" + d.payer
		seen[key]++
		key += fmt.Sprintf("\n%d", seen[key])
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}
