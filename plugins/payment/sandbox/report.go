package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// reportHeader is the first line of the company's 確報 file (tools/till/README.md). The last is total, lines, yen: a file that
// was cut off is refused.
var reportHeader = []string{"attempt_id", "payment_id", "receipt_number", "method", "yen", "paid_yen", "provisional_at", "confirmed_at", "store"}

const (
	maxReportLines  = 100_000
	maxReportFaults = 100
)

// ReadReport reads a 確報 file.
func (a *agent) ReadReport(_ context.Context, in *proto.ReportRequest) (*proto.ReportResponse, error) {
	if _, fault := a.account(in.Call); fault != nil {
		return &proto.ReportResponse{Error: fault}, nil
	}
	return parseReport(in.Body), nil
}

func parseReport(body []byte) *proto.ReportResponse {
	out := &proto.ReportResponse{}
	refuse := func(message string) *proto.ReportResponse {
		return &proto.ReportResponse{Error: &proto.Error{Class: proto.ErrorClass_INVALID, Code: "no_report", Field: "body", Message: message}}
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil || !slices.Equal(header, reportHeader) {
		return refuse(fmt.Sprintf("line 1: want the columns %v: this is no 確報 file of サンドボックス決済", reportHeader))
	}
	total := int64(0)
	for {
		cells, err := r.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return refuse(fmt.Sprintf("the line \"total\" is missing behind %d lines: the file was cut off", len(out.Rows)))
		case errors.As(err, &bad):
			return refuse(fmt.Sprintf("line %d: %v", bad.Line, bad.Err))
		}
		line, _ := r.FieldPos(0)
		switch {
		case cells[0] == "total":
			return closed(r, out, cells, line, total)
		case len(out.Rows) == maxReportLines:
			return refuse(fmt.Sprintf("line %d: more than %d lines", line, maxReportLines))
		}
		row, yen, why := reportRow(cells)
		if why != "" {
			if out.Faults = append(out.Faults, &proto.ReportFault{Line: uint32(line), Message: why}); len(out.Faults) == maxReportFaults {
				return out
			}
			continue
		}
		row.Line = uint32(line)
		out.Rows = append(out.Rows, row)
		total += yen
	}
}

// closed checks the last line, and that nothing follows it.
func closed(r *csv.Reader, out *proto.ReportResponse, cells []string, line int, total int64) *proto.ReportResponse {
	fault := func(line int, message string) {
		out.Faults = append(out.Faults, &proto.ReportFault{Line: uint32(line), Message: message})
	}
	want := []string{"total", strconv.Itoa(len(out.Rows)), strconv.FormatInt(total, 10)}
	if len(out.Faults) == 0 && !slices.Equal(cells, want) {
		fault(line, fmt.Sprintf("total: the file says %v, its lines come to %v", cells[1:], want[1:]))
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		fault(line+1, "something follows the line \"total\"")
	}
	return out
}

// reportRow reads one payment; why it cannot, with the column and its limit.
func reportRow(cells []string) (row *proto.ReportRow, yen int64, why string) {
	if len(cells) != len(reportHeader) {
		return nil, 0, fmt.Sprintf("%d columns; want %d", len(cells), len(reportHeader))
	}
	cell := func(name string) string { return cells[slices.Index(reportHeader, name)] }
	amount := func(name string) int64 {
		n, err := strconv.ParseInt(cell(name), 10, 64)
		if (err != nil || n < 1 || n > 99*maxCardYen) && why == "" {
			why = fmt.Sprintf("%s: want yen, 1 to %d", name, 99*maxCardYen)
		}
		return n
	}
	moment := func(name string, needed bool) *timestamppb.Timestamp {
		if cell(name) == "" && !needed {
			return nil
		}
		t, err := time.Parse(time.RFC3339Nano, cell(name))
		if err != nil {
			if why == "" {
				why = name + ": want a time as 2026-11-22T09:00:00Z"
			}
			return nil
		}
		return timestamppb.New(t)
	}
	if !attemptID.MatchString(cell("attempt_id")) {
		return nil, 0, "attempt_id: want 1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit"
	}
	for _, name := range []string{"payment_id", "receipt_number", "store"} {
		if n := len(cell(name)); n > 64 || n == 0 && name != "store" {
			return nil, 0, fmt.Sprintf("%s: has %d bytes, 1 to 64 are allowed", name, n)
		}
	}
	p := &proto.Payment{AttemptId: cell("attempt_id"), AgentPaymentId: cell("payment_id"), ReceiptNumber: cell("receipt_number"), State: proto.PaymentState_CONFIRMED,
		Yen: amount("yen"), PaidYen: amount("paid_yen"), ProvisionalAt: moment("provisional_at", false), ConfirmedAt: moment("confirmed_at", true), Store: cell("store")}
	if why != "" {
		return nil, 0, why
	}
	return &proto.ReportRow{AttemptId: p.AttemptId, AgentPaymentId: p.AgentPaymentId, Payment: p}, p.PaidYen, ""
}
