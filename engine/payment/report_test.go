package payment

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// ReadReport reads rows as JSON.
func (b *bank) ReadReport(_ context.Context, in *proto.ReportRequest) (*proto.ReportResponse, error) {
	if err := b.hook("report"); err != nil {
		return nil, err
	}
	var all []json.RawMessage
	out := &proto.ReportResponse{}
	if err := json.Unmarshal(in.Body, &all); err != nil {
		out.Faults = append(out.Faults, &proto.ReportFault{Line: 1, Message: "want JSON"})
	}
	for _, raw := range all {
		r := new(proto.ReportRow)
		if err := protojson.Unmarshal(raw, r); err != nil {
			return nil, err
		}
		out.Rows = append(out.Rows, r)
	}
	return out, nil
}

func rows(t testing.TB, all ...*proto.ReportRow) []byte {
	raw := make([]json.RawMessage, len(all))
	for i, r := range all {
		b, err := protojson.Marshal(r)
		require.NoError(t, err)
		raw[i] = b
	}
	b, err := json.Marshal(raw)
	require.NoError(t, err)
	return b
}

func TestReportConfirmsAndSaysWhatDiffers(t *testing.T) {
	r := newRig(t)
	first, second, third := r.claim("A-1", 1000), r.claim("A-2", 2000), r.claim("A-3", 3000)
	a, b, c := r.mustStart(first, "konbini_barcode"), r.mustStart(second, "konbini_barcode"), r.mustStart(third, "card")
	paid := func(yen int64) *proto.Payment {
		return &proto.Payment{State: proto.PaymentState_CONFIRMED, Yen: yen, PaidYen: yen, ConfirmedAt: timestamppb.New(day0.Add(time.Hour))}
	}
	deposit := func(id string, yen int64) *proto.Deposit {
		return &proto.Deposit{Id: id, Yen: yen, At: timestamppb.New(day0.Add(time.Hour))}
	}
	body := rows(t,
		&proto.ReportRow{Line: 1, AttemptId: a.ID.String(), Payment: paid(1000)},
		&proto.ReportRow{Line: 2, AttemptId: b.ID.String(), Payment: paid(1500)},
		&proto.ReportRow{Line: 3, AgentPaymentId: c.AgentID, Deposit: deposit("s1", 1000)},
		&proto.ReportRow{Line: 4, AgentPaymentId: c.AgentID, Deposit: deposit("s2", 2000)},
		&proto.ReportRow{Line: 5, AgentPaymentId: "nobody's", Deposit: deposit("s3", 500)},
		&proto.ReportRow{Line: 6, Deposit: deposit("s4", 500)},
	)
	results := func() (all []string) {
		lines, err := r.Report(t.Context(), r.tenant, ReportFile{Agent: "sandbox", Name: "report.json", By: "user:hanako", Body: body})
		require.NoError(t, err)
		for _, l := range lines {
			all = append(all, l.Claim+" "+l.Result)
		}
		return all
	}
	require.Equal(t, []string{"A-1 applied", "A-2 differs", "A-3 differs", "A-3 applied", " not_ours", " not_ours"}, results())
	require.Equal(t, []string{"A-1 known", "A-2 differs", "A-3 known", "A-3 known", " not_ours", " not_ours"}, results(), "a file that comes again changes nothing")
	require.Equal(t, Paid, r.state(first).Phase)
	require.Equal(t, PartlyPaid, r.state(second).Phase)
	require.Equal(t, Paid, r.state(third).Phase)
	_, err := r.Report(t.Context(), r.tenant, ReportFile{Agent: "nobody", Body: body})
	require.ErrorIs(t, err, ErrNoReports)
}

func TestReportsAreReadFromADirectory(t *testing.T) {
	r := newRig(t)
	r.c.Reports = t.TempDir()
	claim := r.claim("A-1", 1000)
	a := r.mustStart(claim, "konbini_barcode")
	dir := filepath.Join(r.c.Reports, "acme", "sandbox")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	write := func(name string, body []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), body, 0o600))
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), r.time(), r.time()))
	}
	write("20261122.json", rows(t, &proto.ReportRow{Line: 1, AttemptId: a.ID.String(), Payment: &proto.Payment{State: proto.PaymentState_CONFIRMED, PaidYen: 1000}}))
	write("bad.json", []byte("{"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large.json"), nil, 0o600))
	require.NoError(t, os.Truncate(filepath.Join(dir, "large.json"), MaxReport+1))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "large.json"), r.time(), r.time()))
	require.NoError(t, r.readReports(t.Context()))
	require.FileExists(t, filepath.Join(dir, "20261122.json"), "it may still be written")

	r.pass(time.Minute)
	r.bank.set(func() { r.bank.before = func(string) error { return errNotSent } })
	require.NoError(t, r.readReports(t.Context()))
	require.FileExists(t, filepath.Join(dir, "20261122.json"), "the module is down: it is tried again")
	r.bank.set(func() { r.bank.before = nil })
	require.NoError(t, r.readReports(t.Context()))
	require.Equal(t, Paid, r.state(claim).Phase)
	require.FileExists(t, filepath.Join(dir, "done", "20261122.json"))
	result, err := os.ReadFile(filepath.Join(dir, "done", "20261122.json.result.csv"))
	require.NoError(t, err)
	require.Equal(t, "line,result,claim,yen,detail\n1,applied,A-1,1000,\n", string(result))
	require.FileExists(t, filepath.Join(dir, "failed", "bad.json"))
	require.FileExists(t, filepath.Join(dir, "failed", "large.json"))
	result, err = os.ReadFile(filepath.Join(dir, "failed", "bad.json.result.csv"))
	require.NoError(t, err)
	require.Equal(t, "line,result,claim,yen,detail\n1,unreadable,,0,want JSON\n", string(result))
	require.NoError(t, r.readReports(t.Context()), "what was read is not read again")
}

// What a module makes of a file is looked at like everything that it says: a line that cannot be is told, and changes nothing.
func TestLinesThatCannotBeChangeNothing(t *testing.T) {
	r := newRig(t)
	ref := r.claim("A-1", 1000)
	a := r.mustStart(ref, "konbini_barcode").ID.String()
	at := timestamppb.New(day0.Add(time.Hour))
	body := rows(t,
		&proto.ReportRow{Line: 1, AttemptId: a},
		&proto.ReportRow{Line: 2, AttemptId: a, Deposit: &proto.Deposit{Id: "x", Yen: -1000, At: at}},
		&proto.ReportRow{Line: 3, AttemptId: a, Deposit: &proto.Deposit{Id: "x", Yen: maxYen + 1, At: at}},
		&proto.ReportRow{Line: 4, AttemptId: a, Deposit: &proto.Deposit{Yen: 1000, At: at}},
		&proto.ReportRow{Line: 5, AttemptId: a, Deposit: &proto.Deposit{Id: "x", Yen: 1000}},
	)
	before := r.state(ref)
	_, err := r.Report(t.Context(), r.tenant, ReportFile{Agent: "sandbox", Name: "x.json", Body: body})
	var faults ReportFaults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 5)
	for i, l := range faults {
		require.Equal(t, reportUnreadable, l.Result)
		require.Equal(t, uint32(i+1), l.Line)
		require.NotEmpty(t, l.Detail)
	}
	require.Equal(t, "line 3", faults.Problems()[2].Field)
	require.Contains(t, faults.Problems()[2].Detail, "out of range")

	good := rows(t, &proto.ReportRow{Line: 1, AttemptId: a, Deposit: &proto.Deposit{Id: "x", Yen: 1000, At: at}}, &proto.ReportRow{Line: 2, AttemptId: a})
	_, err = r.Report(t.Context(), r.tenant, ReportFile{Agent: "sandbox", Name: "x.json", Body: good})
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 1, "with one fault nothing of the file counts")
	require.Equal(t, before.Version, r.state(ref).Version)
}
