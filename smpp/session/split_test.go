package session

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// converse gives the stream, cut at the places given, to a session, and
// returns what the session made of it: what it handed on and what it wrote.
func converse(t testing.TB, stream []byte, cuts []int) (seen []string, answers []byte) {
	s, p := dialPeer(t, Settings{RequestQueue: 1 << 16, EnquireInterval: -1, OnRequests: func(_ *Session, batch []Incoming) {
		for _, in := range batch {
			seen = append(seen, fmt.Sprintf("%v %d %x", in.Command, in.Sequence, in.Body))
			_ = in.Reply.Respond(pdu.StatusOK)
		}
	}})
	read := make(chan struct{})
	go func() {
		defer close(read)
		answers, _ = io.ReadAll(p.conn)
	}()
	from := 0
	for _, to := range append(cuts, len(stream)) {
		if to > from {
			_, err := p.conn.Write(stream[from:to])
			require.NoError(t, err)
			from = to
		}
	}
	synctest.Wait()
	s.Close()
	<-read
	return seen, answers
}

func aStream(t testing.TB) []byte {
	var b []byte
	for i, body := range []pdu.Body{
		&pdu.DeliverSM{SM: pdu.SM{ShortMessage: []byte("id:1 stat:DELIVRD")}},
		&pdu.Raw{Cmd: 0x111, Data: []byte{1, 2, 3}},
		&pdu.DataSM{TLVs: pdu.TLVs(nil).AppendUint8(pdu.TagMessageState, 2)},
		&pdu.Raw{Cmd: pdu.CmdEnquireLink},
		&pdu.AlertNotification{},
		&pdu.Raw{Cmd: pdu.CmdDeliverSM, Data: []byte("damaged")},
		&pdu.DeliverSM{},
	} {
		var err error
		b, err = pdu.Append(b, uint32(i+2), pdu.StatusOK, body)
		require.NoError(t, err)
	}
	return b
}

// counted tells how often each answer was written: their order between the
// protocol's own and the owner's is free.
func counted(t require.TestingT, answers []byte) map[pdu.Header]int {
	n := map[pdu.Header]int{}
	for len(answers) > 0 {
		h, _, size, err := pdu.Next(answers)
		require.NoError(t, err)
		require.NotZero(t, size)
		n[h]++
		answers = answers[size:]
	}
	return n
}

func TestStreamCutAtEveryBoundaryIsUnderstoodTheSame(t *testing.T) {
	stream := aStream(t)
	var want []string
	var answers map[pdu.Header]int
	synctest.Test(t, func(t *testing.T) {
		seen, b := converse(t, stream, nil)
		want, answers = seen, counted(t, b)
	})
	require.Len(t, want, 4)
	require.Len(t, answers, 6)
	everywhere := make([]int, len(stream))
	for i := range everywhere {
		everywhere[i] = i
	}
	for cut := range stream {
		cuts := []int{cut}
		if cut == 0 {
			cuts = everywhere
		}
		synctest.Test(t, func(t *testing.T) {
			seen, b := converse(t, stream, cuts)
			require.Equal(t, want, seen, "cut at %d", cut)
			require.Equal(t, answers, counted(t, b), "cut at %d", cut)
		})
	}
}

// drawn is a random stream, and what a session must make of it.
type drawn struct {
	stream   []byte
	want     []string
	answered int
}

// drawStream draws up to so many PDUs, with bodies of up to so many bytes unless they are well formed.
func drawStream(rt *rapid.T, pdus, size int) (d drawn) {
	for i := range rapid.IntRange(1, pdus).Draw(rt, "pdus") {
		seq := uint32(i + 2)
		command := rapid.SampledFrom([]pdu.Command{
			pdu.CmdDeliverSM, pdu.CmdDataSM, pdu.CmdEnquireLink, pdu.CmdEnquireLinkResp, pdu.CmdAlertNotification, pdu.CmdSubmitSM, 0x111, 0x80000111,
		}).Draw(rt, "command")
		body := rapid.SliceOfN(rapid.Byte(), 0, size).Draw(rt, "body")
		var sm pdu.SM
		var data pdu.DataSM
		if command == pdu.CmdDeliverSM && rapid.Bool().Draw(rt, "well formed") {
			sm.ShortMessage = body
			body, _ = sm.AppendBody(nil)
		}
		d.stream, _ = pdu.Append(d.stream, seq, pdu.StatusOK, &pdu.Raw{Cmd: command, Data: body})
		if handed := command == pdu.CmdAlertNotification || command == pdu.CmdDataSM && data.ParseBody(body) == nil || command == pdu.CmdDeliverSM && sm.ParseBody(body) == nil; handed {
			d.want = append(d.want, fmt.Sprintf("%v %d %x", command, seq, body))
		}
		if !command.IsResponse() && command != pdu.CmdAlertNotification {
			d.answered++
		}
	}
	return d
}

// check gives the stream to a session, cut at the places given.
func (d *drawn) check(t *testing.T, rt *rapid.T, cuts []int) {
	var seen []string
	var answers []byte
	synctest.Test(t, func(t *testing.T) { seen, answers = converse(t, d.stream, cuts) })
	require.Equal(rt, d.want, seen, "cut at %v", cuts)
	require.Len(rt, counted(rt, answers), d.answered, "cut at %v", cuts)
}

func TestRandomStreamsAreUnderstoodTheSameInAnyPieces(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawStream(rt, 12, 40)
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(d.stream)), 0, 20).Draw(rt, "cuts")
		slices.Sort(cuts)
		d.check(t, rt, cuts)
	})
}

// TestRandomStreamsCutAtEveryBoundaryAreUnderstoodTheSame: short ones, each cut in two at every boundary, and everywhere at once.
func TestRandomStreamsCutAtEveryBoundaryAreUnderstoodTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawStream(rt, 3, 4)
		everywhere := make([]int, len(d.stream))
		for i := range everywhere {
			everywhere[i] = i
			d.check(t, rt, []int{i})
		}
		d.check(t, rt, everywhere)
	})
}
