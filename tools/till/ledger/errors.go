package ledger

// Error is a refusal. Code is stable and is what programs and screens decide by; Detail is for operators.
type Error struct {
	Code   string `json:"code"`
	Detail string `json:"message"`
	Field  string `json:"field,omitempty"` // of the request, where one is at fault
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Codes of refusals. CodeCanceled, CodeExpired, CodePaid and CodeConfirmed are those that Waive is asked about.
const (
	CodeInvalid           = "invalid_request"
	CodeDuplicate         = "duplicate_attempt"  // the attempt id is taken by another request
	CodeNotFound          = "payment_not_found"  //
	CodeAlreadyPaid       = "already_paid"       // cancel after money was taken
	CodeUnreadable        = "unreadable"         // neither a payment number nor 44 digits
	CodeCheckDigit        = "check_digit"        //
	CodeWrongCompany      = "wrong_company"      // a slip of another company
	CodeUnknownNumber     = "unknown_number"     //
	CodeWrongConfirmation = "wrong_confirmation" //
	CodeWrongAmount       = "wrong_amount"       // the slip says another amount than the books
	CodeWrongDue          = "wrong_due"          // the slip says another due date than the books
	CodeCanceled          = "canceled"           //
	CodeExpired           = "expired"            //
	CodePaid              = "paid"               //
	CodeFinished          = "finished"           // the card was declined: a new payment is needed
	CodeNotOpen           = "not_open"           // confirm or revoke what is confirmed or revoked already
	CodeConfirmed         = "confirmed"          // revoke what is confirmed
	CodeNotCaptured       = "not_captured"       // refund more than is left of a captured card payment
	CodeChoose            = "choose"             // a payer's number: which of his bills
	CodeRegistered        = "already_registered" // cancel after the account was registered
	CodeStale             = "stale"              // a barcode whose time on a screen is over
	CodeNoCard            = "no_card"            // charge a card that is not kept
	CodeTryLater          = "try_later"          // no other barcode at present
)

func refuse(code, detail string) *Error { return &Error{Code: code, Detail: detail} }

func invalid(field, detail string) *Error {
	return &Error{Code: CodeInvalid, Detail: field + ": " + detail, Field: field}
}

// Waive is asked before something is refused for one of those codes; true lets it pass. It is how
// faults are played. Nil waives nothing.
type Waive func(code string) bool

func (w Waive) refuse(code, detail string) error {
	if w != nil && w(code) {
		return nil
	}
	return refuse(code, detail)
}
