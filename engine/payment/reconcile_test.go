package payment

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// confirmed is a claim with 確報 by webhook, an hour after the beginning of the day.
func (r *rig) confirmedBy(number string, yen int64) Attempt {
	r.t.Helper()
	a := r.mustStart(r.claim(number, yen), "konbini_barcode")
	require.Equal(r.t, 200, r.hook(r.told("n-"+number, a, proto.PaymentState_CONFIRMED, yen, time.Hour)).Status)
	return a
}

func (r *rig) report(name string, all ...*proto.ReportRow) {
	r.t.Helper()
	for i := range all {
		all[i].Line = uint32(i + 1)
	}
	_, err := r.Report(r.t.Context(), r.tenant, ReportFile{Agent: "sandbox", Name: name, By: "user:hanako", Body: rows(r.t, all...)})
	require.NoError(r.t, err)
}

func (r *rig) day(day string) *Reconciliation {
	r.t.Helper()
	rec, err := r.Reconcile(r.t.Context(), r.tenant, "sandbox", day)
	require.NoError(r.t, err)
	return rec
}

func ofFile(a Attempt, yen int64, at time.Duration) *proto.ReportRow {
	return &proto.ReportRow{AttemptId: a.ID.String(), Payment: &proto.Payment{State: proto.PaymentState_CONFIRMED, Yen: a.Yen, PaidYen: yen, ConfirmedAt: timestamppb.New(day0.Add(at))}}
}

// said gives "claim verdict ours/theirs" of each line.
func (rec *Reconciliation) said() (all []string) {
	for _, row := range rec.Rows("en") {
		all = append(all, strings.Join([]string{row[1], row[0], row[4], row[5]}, " "))
	}
	return all
}

func TestADayIsReconciledLineByLine(t *testing.T) {
	r := newRig(t)
	agrees, missing := r.confirmedBy("A-1", 1000), r.confirmedBy("A-2", 2000)
	byFile := r.mustStart(r.claim("A-3", 3000), "konbini_barcode")
	provisional := r.mustStart(r.claim("A-4", 4000), "konbini_barcode")
	r.hook(r.told("n-4", provisional, proto.PaymentState_PROVISIONAL, 4000, time.Hour))
	short := r.mustStart(r.claim("A-5", 5000), "konbini_barcode")
	day := message.Day(day0.Add(time.Hour))
	require.Equal(t, []string{"A-1 Only ours 1000 0", "A-2 Only ours 2000 0", "A-4 Only ours 4000 0"}, r.day(day).said(), "no file came yet")

	r.report("kakuho.csv", ofFile(agrees, 1000, time.Hour), ofFile(byFile, 3000, 2*time.Hour), ofFile(short, 4500, 2*time.Hour),
		&proto.ReportRow{AgentPaymentId: "strange-1", Payment: &proto.Payment{State: proto.PaymentState_CONFIRMED, Yen: 900, PaidYen: 900, ConfirmedAt: timestamppb.New(day0.Add(time.Hour))}})
	rec := r.day(day)
	require.Equal(t, []string{" Only theirs 0 900", "A-2 Only ours 2000 0", "A-4 Only ours 4000 0", "A-1 Agrees 1000 1000", "A-3 Agrees 3000 3000", "A-5 Agrees 4500 4500"}, rec.said())
	require.Equal(t, Total{6, 14500, 9400}, rec.Total)
	require.Equal(t, Total{2, 6000, 0}, rec.Totals[OnlyOurs])
	require.True(t, rec.Lines[2].Provisional)
	require.Equal(t, missing.Message, rec.Lines[1].Message, "each leads to the message")
	require.Equal(t, "strange-1", rec.Lines[0].Payment)
	require.Equal(t, []ReportRead{{File: "kakuho.csv", Read: r.time(), By: "user:hanako", Rows: 4}}, rec.Files)
	require.Equal(t, "kakuho.csv", rec.Lines[3].File)
	require.Equal(t, uint32(1), rec.Lines[3].Line)

	r.report("kakuho.csv", ofFile(agrees, 1000, time.Hour), ofFile(byFile, 3000, 2*time.Hour), ofFile(short, 4500, 2*time.Hour),
		&proto.ReportRow{AgentPaymentId: "strange-1", Payment: &proto.Payment{State: proto.PaymentState_CONFIRMED, Yen: 900, PaidYen: 900, ConfirmedAt: timestamppb.New(day0.Add(time.Hour))}})
	require.Equal(t, rec.said(), r.day(day).said(), "the same file again changes nothing")
	require.Len(t, r.day(day).Files, 1)

	// A later file tells of it with another amount, which the first notice is not undone by.
	r.pass(time.Minute)
	r.report("fix.csv", ofFile(missing, 1800, time.Hour-time.Minute))
	require.Contains(t, r.day(day).said(), "A-2 Amounts differ 2000 1800")
	r.crash()
	require.Contains(t, r.day(day).said(), "A-2 Amounts differ 2000 1800")
	require.Empty(t, r.day(message.Day(day0.AddDate(0, 0, -3))).Lines)
	_, err := r.Reconcile(t.Context(), r.tenant, "nobody", day)
	require.ErrorIs(t, err, ErrNoReports)
	_, err = r.Reconcile(t.Context(), r.tenant, "sandbox", "22/11/2026")
	require.ErrorContains(t, err, "day")
}

func TestMoneyThatTheAgentBooksOnAnotherDayIsFound(t *testing.T) {
	r := newRig(t)
	a := r.confirmedBy("A-1", 1000)
	r.report("next.csv", ofFile(a, 1000, 30*time.Hour))
	ours, theirs := message.Day(day0.Add(time.Hour)), message.Day(day0.Add(30*time.Hour))
	rec := r.day(ours)
	require.Equal(t, []string{"A-1 Agrees 1000 1000"}, rec.said())
	require.Equal(t, theirs, rec.Lines[0].FileDay)
	require.Equal(t, []string{"A-1 Agrees 1000 1000"}, r.day(theirs).said())
}

func TestDepositsAreReconciledOneByOne(t *testing.T) {
	r := newRig(t)
	a := r.mustStart(r.claim("A-1", 3000), "konbini_barcode")
	deposit := func(id string, yen int64) *proto.ReportRow {
		return &proto.ReportRow{AttemptId: a.ID.String(), Deposit: &proto.Deposit{Id: id, Yen: yen, At: timestamppb.New(day0.Add(time.Hour))}}
	}
	r.report("one.csv", deposit("d1", 1000))
	r.report("two.csv", deposit("d1", 1000), deposit("d2", 2000), &proto.ReportRow{Deposit: &proto.Deposit{Id: "d3", Yen: 500, At: timestamppb.New(day0.Add(time.Hour))}})
	rec := r.day(message.Day(day0.Add(time.Hour)))
	require.Equal(t, []string{" Only theirs 0 500", "A-1 Agrees 1000 1000", "A-1 Agrees 2000 2000"}, rec.said())
}

// 速報, its cancellation and money again on one day lead to the attempt once.
func TestMoneyThatComesAndGoesStandsOnItsDay(t *testing.T) {
	r := newRig(t)
	a := r.mustStart(r.claim("A-1", 1000), "konbini_barcode")
	r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 1000, time.Hour))
	back := r.told("n2", a, proto.PaymentState_AWAITING, 0, 2*time.Hour)
	back.Payment.ProvisionalRevoked = true
	r.hook(back)
	day := message.Day(day0.Add(time.Hour))
	require.Empty(t, r.day(day).Lines)
	r.hook(r.told("n3", a, proto.PaymentState_PROVISIONAL, 1000, 3*time.Hour))
	require.Equal(t, []string{"A-1 Only ours 1000 0"}, r.day(day).said())
}
