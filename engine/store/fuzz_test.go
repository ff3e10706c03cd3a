package store

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sampleGroup() []byte {
	c := Change{
		Ref: newRef(acme, Message), Events: event(1, "head"), Final: true,
		Names: []Name{{Space: ByToken, Key: "token", Value: []byte("value"), Until: time.Unix(1, 0), WhileOpen: true}},
		Terms: []Term{{1, "term"}}, Due: &Due{Queue: "docomo/bulk", At: time.Unix(2, 0)},
	}
	buf := make([]byte, groupHeaderSize)
	buf = appendEvent(buf, c.Ref, 0, 1, 3, []byte("head"))
	buf = appendFacts(buf, &c)
	appendGroupHeader(buf[:0], groupHeader{entries: 2, time: 4, floor: 5})
	return buf
}

func readGroup(group []byte) (events []storedEvent, facts []storedFacts, err error) {
	_, err = eachEntry(group, false, func(_ uint32, _ int, body []byte) error {
		if len(body) > 0 && body[0] == entryEvent {
			e, err := parseEvent(body)
			events = append(events, e)
			return err
		}
		var f storedFacts
		err := parseFacts(&f, body)
		facts = append(facts, f)
		return err
	})
	return events, facts, err
}

func TestGroupIsReadAsWritten(t *testing.T) {
	group := sampleGroup()
	events, facts, err := readGroup(group)
	require.NoError(t, err)
	require.Equal(t, "head", string(events[0].data))
	require.Equal(t, "acme", string(events[0].tenant))
	f := facts[0]
	require.True(t, f.final && f.head && f.hasDue)
	require.Equal(t, "docomo/bulk", string(f.queue))
	require.Equal(t, time.Unix(2, 0).UnixNano(), f.dueAt)
	require.Equal(t, "token value", string(f.names[0].key)+" "+string(f.names[0].value))
	require.True(t, f.names[0].whileOpen)
	require.Equal(t, "term", string(f.terms[0].value))
	for i := range group {
		bad := bytes.Clone(group)
		bad[i] ^= 0x10
		_, _, err := readGroup(bad)
		require.ErrorIs(t, err, errDamaged, "byte %d", i)
		_, _, err = readGroup(group[:i])
		require.ErrorIs(t, err, errDamaged, "cut at %d", i)
	}
}

func FuzzGroup(f *testing.F) {
	f.Add(sampleGroup())
	f.Fuzz(func(t *testing.T, b []byte) { readGroup(b) })
}

// FuzzBodies goes past the checksums.
func FuzzBodies(f *testing.F) {
	group := sampleGroup()
	for off := groupHeaderSize; off < len(group); {
		body, next, err := entryHere(group, off, false)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		off = next
	}
	f.Add((&life{ref: newRef(acme, Message), version: 2, tail: []place{{1, 2}, {3, 4}}, due: duePlace{queue: "q"}}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var facts storedFacts
		parseEvent(b)
		parseFacts(&facts, b)
		if l, err := parseLife(newRef(acme, Message).ID, b); err == nil {
			again, err := parseLife(l.ref.ID, l.append(nil))
			require.NoError(t, err)
			require.Equal(t, l.version, again.version)
		}
	})
}

func FuzzValueLog(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(make([]byte, 20), 0, 0, 3, 2, 0, 'g', 'x', 'y', 1, 2, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := scanValueLog(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	})
}
