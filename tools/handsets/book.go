package main

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxPhones   = 10_000 // the longest silent one makes room
	maxMessages = 200    // of one phone
)

// message is one SMS on a phone.
type message struct {
	ID      string // of the carrier; "" for those written on the phone
	Address string // the other side
	Text    string
	At      time.Time
	Out     bool // written on the phone
}

// phone is one handset.
type phone struct {
	ID       int
	Number   string // as the carrier writes it, without "+"
	Carrier  string
	Count    int // received in all
	Messages []message
}

// Last returns the latest message; a phone in the book has one.
func (p *phone) Last() message { return p.Messages[len(p.Messages)-1] }

// book holds the phones. Its methods are safe for concurrent use.
type book struct {
	mu       sync.Mutex
	byNumber map[string]*phone
	byID     map[int]*phone
	lastID   int
	up       bool                  // the carriers are there
	watchers map[chan struct{}]int // to the phone watched, 0 for all
}

func newBook() *book {
	return &book{byNumber: map[string]*phone{}, byID: map[int]*phone{}, watchers: map[chan struct{}]int{}}
}

// normal brings a number into one form: digits, 81 for a leading 0.
func normal(number string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '０' && r <= '９' {
			r -= '０' - '0'
		}
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
	if rest, ok := strings.CutPrefix(digits, "0"); ok && len(digits) >= 10 {
		return "81" + rest
	}
	return digits
}

// add enters a message unless the phone has it already.
func (b *book) add(number, carrier string, m message) {
	number = normal(number)
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.byNumber[number]
	if p == nil {
		if len(b.byID) >= maxPhones {
			b.evict()
		}
		b.lastID++
		p = &phone{ID: b.lastID, Number: number}
		b.byNumber[number], b.byID[p.ID] = p, p
	}
	if m.ID != "" && slices.ContainsFunc(p.Messages, func(x message) bool { return x.ID == m.ID }) {
		return
	}
	if carrier != "" {
		p.Carrier = carrier // numbers move
	}
	if !m.Out {
		p.Count++
	}
	// In the order of time; mostly at the end.
	i, _ := slices.BinarySearchFunc(p.Messages, m, func(a, b message) int { return cmp.Or(a.At.Compare(b.At), -1) })
	p.Messages = slices.Insert(p.Messages, i, m)
	if n := len(p.Messages) - maxMessages; n > 0 {
		p.Messages = slices.Delete(p.Messages, 0, n)
	}
	b.tell(p.ID)
}

// tell wakes the watchers of phone id and of all phones; of every page when
// id is 0. The lock is held.
func (b *book) tell(id int) {
	for ch, watched := range b.watchers {
		if watched == 0 || watched == id || id == 0 {
			select {
			case ch <- struct{}{}:
			default: // told already, and has not looked yet
			}
		}
	}
}

// setUp notes whether the carriers are there, which every page shows.
func (b *book) setUp(up bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.up != up {
		b.up = up
		b.tell(0)
	}
}

func (b *book) isUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up
}

func (b *book) evict() {
	var oldest *phone
	for _, p := range b.byID {
		if oldest == nil || p.Last().At.Before(oldest.Last().At) {
			oldest = p
		}
	}
	delete(b.byID, oldest.ID)
	delete(b.byNumber, oldest.Number)
}

// find returns a copy of the phone.
func (b *book) find(id int) (phone, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.byID[id]
	if p == nil {
		return phone{}, false
	}
	return p.copy(), true
}

func (p *phone) copy() phone {
	c := *p
	c.Messages = slices.Clone(p.Messages)
	return c
}

// list returns copies of at most limit phones whose number contains digits,
// the latest first, and how many there are.
func (b *book) list(query string, limit int) (phones []phone, total int) {
	digits := normal(query)
	if digits == "" && query != "" {
		return nil, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*phone
	for number, p := range b.byNumber {
		if strings.Contains(number, digits) || strings.Contains("0"+strings.TrimPrefix(number, "81"), digits) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(x, y *phone) int {
		return cmp.Or(y.Last().At.Compare(x.Last().At), cmp.Compare(y.ID, x.ID))
	})
	for _, p := range all[:min(limit, len(all))] {
		phones = append(phones, p.copy())
	}
	return phones, len(all)
}

// watch returns a channel that gets a value after changes of the phone id, or
// of any phone when id is 0.
func (b *book) watch(id int) (changed <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[ch] = id
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, ch)
	}
}
