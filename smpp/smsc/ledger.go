package smsc

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// Message is one whole message that the carrier accepted.
type Message struct {
	Seq      uint64    `json:"seq"` // from 1, per carrier and run
	Carrier  string    `json:"carrier"`
	ID       string    `json:"id"`            // of the response; of the first segment
	IDs      []string  `json:"ids,omitempty"` // of all segments, when there are several
	SystemID string    `json:"system_id"`
	Source   string    `json:"source"`
	Dest     string    `json:"dest"`
	Text     string    `json:"text"`
	Received time.Time `json:"received"`
	State    string    `json:"state"` // ENROUTE, then the final state
	StateAt  time.Time `json:"state_at,omitzero"`

	coding byte // data_coding, for replace_sm
}

// line is one line of the ledger file.
type line struct {
	// "part" a segment, "received" a whole message, "state" its final state; of a message from a phone "phone" when it is
	// written, before its first deliver_sm, and "taken" for each segment that was answered with ESME_ROK
	Event string `json:"event"`
	Part  int    `json:"part,omitempty"`
	Of    int    `json:"of,omitempty"`
	Message
}

// ledger keeps the last messages. The carrier locks.
type ledger struct {
	size     int
	messages []Message // ring; Seq s is at (s-1) % size
	next     uint64    // Seq of the next message
	byID     map[string]uint64
	joins    map[joinKey]*join
	joinList []joinKey // oldest first
	file     io.Writer // nil for none
	lines    []byte    // not yet written
}

// maxJoins bounds the messages whose segments are not all there.
const maxJoins = 10_000

type joinKey struct {
	systemID, source, dest string
	ref                    uint32 // with bit 16 for wide, bit 17 for sar
	total                  byte
}

type join struct {
	texts []string
	ids   []string
	have  int
}

func newLedger(size int, file io.Writer) *ledger {
	if size == 0 {
		size = 100_000
	}
	return &ledger{size: size, next: 1, byID: make(map[string]uint64), joins: make(map[joinKey]*join), file: file}
}

// add enters one accepted submit_sm. It returns the whole message that it is
// or completes; ok is false while segments are missing.
func (l *ledger) add(m Message, p *pdu.SM, packed bool) (whole Message, ok bool) {
	text, c := readText(p, packed)
	m.coding = p.DataCoding
	if c.Total > 1 {
		l.log(line{Event: "part", Part: int(c.Part), Of: int(c.Total), Message: withText(m, text)})
		key := joinKey{systemID: m.SystemID, source: m.Source, dest: m.Dest, ref: c.ref, total: c.Total}
		j := l.joins[key]
		if j == nil {
			for len(l.joinList) >= maxJoins {
				delete(l.joins, l.joinList[0])
				l.joinList = l.joinList[1:]
			}
			j = &join{texts: make([]string, c.Total), ids: make([]string, c.Total)}
			l.joins[key] = j
			l.joinList = append(l.joinList, key)
		}
		if j.ids[c.Part-1] == "" {
			j.have++
		}
		j.texts[c.Part-1], j.ids[c.Part-1] = text, m.ID
		if j.have < int(c.Total) {
			return m, false
		}
		delete(l.joins, key)
		m.ID, m.IDs, text = j.ids[0], j.ids, ""
		for _, t := range j.texts {
			text += t
		}
	}
	m.Text = text
	return l.enter(m), true
}

func withText(m Message, text string) Message {
	m.Text = text
	return m
}

func (l *ledger) enter(m Message) Message {
	m.Seq = l.next
	l.next++
	if i := int((m.Seq - 1) % uint64(l.size)); i < len(l.messages) {
		l.forget(&l.messages[i])
		l.messages[i] = m
	} else {
		l.messages = append(l.messages, m)
	}
	l.byID[m.ID] = m.Seq
	for _, id := range m.IDs {
		l.byID[id] = m.Seq
	}
	l.log(line{Event: "received", Message: m})
	return m
}

func (l *ledger) forget(m *Message) {
	delete(l.byID, m.ID)
	for _, id := range m.IDs {
		delete(l.byID, id)
	}
}

// find returns the message that has id as one of its own, or nil.
func (l *ledger) find(id string) *Message {
	seq, ok := l.byID[id]
	if !ok {
		return nil
	}
	return &l.messages[(seq-1)%uint64(l.size)]
}

// settle sets the final state of a message.
func (l *ledger) settle(id, state string, at time.Time) (Message, bool) {
	m := l.find(id)
	if m == nil {
		return Message{}, false
	}
	m.State, m.StateAt = state, at
	l.log(line{Event: "state", Message: *m})
	return *m, true
}

// since returns the messages kept with a Seq above seq, oldest first.
func (l *ledger) since(seq uint64) []Message {
	first := uint64(1)
	if n := uint64(len(l.messages)); l.next > n {
		first = l.next - n
	}
	first = max(first, seq+1)
	var out []Message
	for s := first; s < l.next; s++ {
		out = append(out, l.messages[(s-1)%uint64(l.size)])
	}
	return out
}

func (l *ledger) log(v line) {
	if l.file == nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: smsc: ledger line: " + err.Error())
	}
	l.lines = append(append(l.lines, b...), '\n')
}

// flush writes the lines gathered, in one call. The caller must not respond
// before it.
func (l *ledger) flush() error {
	if len(l.lines) == 0 {
		return nil
	}
	_, err := l.file.Write(l.lines)
	l.lines = l.lines[:0]
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// segment is what joins a text to others; Total is 0 for a text of its own.
type segment struct {
	ref         uint32
	Total, Part byte
}

// readText decodes the user data of p; packed says that GSM 7 is.
func readText(p *pdu.SM, packed bool) (string, segment) {
	data := p.Text()
	whole := len(data)
	var seg segment
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		c, rest, err := coding.ParseUDH(data)
		if err == nil && c.Total > 0 {
			seg = segment{ref: uint32(c.Reference), Total: c.Total, Part: c.Part}
			if c.Wide {
				seg.ref |= 1 << 16
			}
		}
		data = rest
	} else if ref, ok := p.TLVs.Uint(pdu.TagSARMsgRefNum); ok { // SMPP 3.4 §5.3.2.22
		total, _ := p.TLVs.Uint(pdu.TagSARTotalSegments)
		part, _ := p.TLVs.Uint(pdu.TagSARSegmentSeqnum)
		if part >= 1 && part <= total && total <= 255 {
			seg = segment{ref: ref&0xFFFF | 1<<17, Total: byte(total), Part: byte(part)}
		}
	}
	a, ok := coding.FromDataCoding(p.DataCoding)
	if !ok {
		return hex.EncodeToString(data), seg
	}
	if a == coding.GSM7 && packed {
		a = coding.GSM7Packed
	}
	return coding.DecodeBehind(a, whole-len(data), data), seg
}
