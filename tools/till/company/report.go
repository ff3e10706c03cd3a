package company

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/kakitome/kakitome/tools/till/ledger"
	"github.com/kakitome/kakitome/tools/till/slip"
)

// reportHeader names the columns of a 確報 file.
var reportHeader = []string{"attempt_id", "payment_id", "receipt_number", "method", "yen", "paid_yen", "provisional_at", "confirmed_at", "store"}

// report: ?merchant= (the only one by default) and ?day= (YYYY-MM-DD in Japan, today by default): the 確報 file of a day. One line a
// payment of which money was confirmed on the day, oldest first, then a line that closes it: total, lines, yen.
func (c *Company) report(w http.ResponseWriter, r *http.Request) {
	merchant, day := r.FormValue("merchant"), r.FormValue("day")
	if merchant == "" && len(c.opts.Merchants) == 1 {
		merchant = c.opts.Merchants[0].ID
	}
	now, _ := c.books.Clock()
	if day == "" {
		day = now.In(slip.Japan).Format(time.DateOnly)
	}
	_, known := c.merchants[merchant]
	if _, err := time.Parse(time.DateOnly, day); err != nil || !known {
		answerError(w, http.StatusBadRequest, &ledger.Error{Code: ledger.CodeInvalid, Field: "day", Detail: "want a merchant and a day as YYYY-MM-DD"})
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="kakuho_%s_%s.csv"`, merchant, day))
	out := csv.NewWriter(w)
	_ = out.Write(reportHeader) // an error means that the other end is gone
	lines, total := 0, int64(0)
	for _, p := range slices.Backward(c.books.Payments("", -1)) {
		if p.Merchant != merchant || !slices.ContainsFunc(p.Takings, func(t ledger.Taking) bool {
			return t.ConfirmedAt != nil && t.RevokedAt == nil && t.ConfirmedAt.In(slip.Japan).Format(time.DateOnly) == day
		}) {
			continue
		}
		stamp := func(t *time.Time) string {
			if t == nil {
				return ""
			}
			return t.UTC().Format(time.RFC3339Nano)
		}
		_ = out.Write([]string{p.AttemptID, p.PaymentID, p.ReceiptNumber, string(p.Method), strconv.FormatInt(p.Yen, 10), strconv.FormatInt(p.PaidYen, 10), stamp(p.ProvisionalAt), stamp(p.ConfirmedAt), p.Store})
		lines, total = lines+1, total+p.PaidYen
	}
	_ = out.Write([]string{"total", strconv.Itoa(lines), strconv.FormatInt(total, 10)})
	out.Flush()
}
