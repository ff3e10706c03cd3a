package proto

// MaxKonbiniYen is the most that a convenience store takes at once, whatever a module says of its methods.
const MaxKonbiniYen = 300_000

// MostYen is the most that the method takes: what its module says, within what its kind may. 0: no limit is known.
func (m *PaymentMethod) MostYen() int64 {
	switch m.GetKind() {
	case MethodKind_KONBINI_NUMBER, MethodKind_KONBINI_BARCODE, MethodKind_PAYER_NUMBER:
		if m.MaxYen == 0 || m.MaxYen > MaxKonbiniYen {
			return MaxKonbiniYen
		}
	}
	return m.GetMaxYen()
}
