package company

import (
	"net/http"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
)

// pageTitles are what the company's page is for.
var pageTitles = map[ledger.Method]string{
	ledger.Card: "クレジットカードのお支払い", ledger.CardRecurring: "クレジットカードのお支払いと登録", ledger.Wallet: "ウォレットのお支払い",
	ledger.AccountRegistration: "口座振替のお申し込み",
}

type cardModel struct {
	page
	What     string // in pageTitles
	Merchant string
	Payment  ledger.Record
	Token    string
	Again    bool // it has ended, but a fault lets it be paid all the same
}

// cardPage shows the payment and how to pay, or how it ended. It changes nothing.
func (c *Company) cardPage(w http.ResponseWriter, r *http.Request) {
	rec, err := c.books.CardPage(r.PathValue("token"))
	if err != nil {
		c.show(w, http.StatusNotFound, "card_unknown", page{Title: "お支払い"})
		return
	}
	again := rec.State == ledger.Confirmed && c.faults.Armed(fault.PayTwice) ||
		rec.State == ledger.Canceled && c.faults.Armed(fault.PayAfterCancel) ||
		rec.State == ledger.Expired && c.faults.Armed(fault.PayAfterExpiry)
	c.show(w, http.StatusOK, "card", cardModel{
		page: page{Title: "お支払い"}, What: pageTitles[rec.Method], Merchant: c.merchants[rec.Merchant].Name, Payment: rec,
		Token: r.PathValue("token"), Again: again,
	})
}

// payCard: {"outcome": "approved", "declined" or "abandoned"}. A page that comes too late is shown how it ended.
func (c *Company) payCard(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	in, err := readInput(w, r, "outcome")
	var rec ledger.Record
	if err == nil {
		rec, err = c.books.PayCard(token, ledger.CardOutcome(in.values["outcome"]), c.waive(true))
	}
	c.reply(w, r, in, "/pay/"+token, map[string]any{"payment": rec}, err)
}
