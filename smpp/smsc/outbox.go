package smsc

// outbox is a queue of receipts that reuses its front when it is full.
type outbox struct {
	all  []*receipt
	head int // of all, gone
}

func (o *outbox) len() int { return len(o.all) - o.head }

func (o *outbox) add(r *receipt) {
	if len(o.all) == cap(o.all) && o.head >= len(o.all)/2 {
		n := copy(o.all, o.all[o.head:])
		clear(o.all[n:])
		o.all, o.head = o.all[:n], 0
	}
	o.all = append(o.all, r)
}

// first returns at most n, which stay.
func (o *outbox) first(n int) []*receipt { return o.all[o.head : o.head+min(n, o.len())] }

// drop takes n off.
func (o *outbox) drop(n int) {
	clear(o.all[o.head : o.head+n])
	o.head += n
}
