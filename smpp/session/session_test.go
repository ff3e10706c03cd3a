package session

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

func TestEveryRequestGetsOneAnswer(t *testing.T) {
	const total, window = 5000, 50
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	theirs, err := ln.Accept()
	require.NoError(t, err)

	var mu sync.Mutex
	seen := make(map[any]string)
	all := make(chan struct{})
	most := 0
	esme, smsc := pairOn(t, ours, theirs, Settings{
		Window: window,
		OnResults: func(_ *Session, batch []Result) {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range batch {
				if r.Outcome != Answered || r.Status != pdu.StatusOK || r.Written.IsZero() {
					t.Errorf("result %+v", r)
				}
				if _, twice := seen[r.Owner]; twice {
					t.Errorf("owner %v twice", r.Owner)
				}
				seen[r.Owner] = string(r.MessageID)
			}
			if len(seen) == total {
				close(all)
			}
		},
	}, Settings{
		OnRequests: func(s *Session, batch []Incoming) {
			most = max(most, len(batch))
			out := make([]Response, 0, len(batch))
			for _, in := range batch {
				out = append(out, Response{To: in.Reply, MessageID: fmt.Appendf(nil, "%s-%d", in.SM.Dest.Addr[:2], in.Sequence)})
			}
			if err := s.Respond(out); err != nil {
				t.Error(err)
			}
		},
	})
	for from := 0; from < total; from += 500 {
		batch := submitOf(500)
		for i := range batch {
			batch[i].Owner = from + i
		}
		n, err := esme.Submit(t.Context(), batch)
		require.NoError(t, err)
		require.Equal(t, 500, n)
	}
	within(t, 10*time.Second, "all answered", all)
	require.Equal(t, fmt.Sprintf("81-%d", 2), seen[0])
	require.LessOrEqual(t, most, window)
	require.NoError(t, esme.Unbind(t.Context()))
	<-smsc.Done()
	require.ErrorIs(t, smsc.Err(), ErrPeerUnbound)
	st := esme.Stats()
	require.EqualValues(t, total, st.Submitted)
	require.EqualValues(t, total, st.Written)
	require.EqualValues(t, total, st.Answered)
	require.Zero(t, st.Outstanding)
	require.Zero(t, st.Unmatched)
	require.Less(t, st.Writes, uint64(total)) // many PDUs in a write
	require.EqualValues(t, total, smsc.Stats().Received)
}

func TestFullWindowRefusesOrWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{Window: 3, OnResults: got.take})
		require.Equal(t, 3, s.Room())
		n, err := s.TrySubmit(submitOf(5))
		require.Zero(t, s.Room())
		require.Equal(t, 3, n)
		require.ErrorIs(t, err, ErrWindowFull)
		first, _ := p.expect(pdu.CmdSubmitSM)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n, err = s.Submit(ctx, submitOf(1))
		require.Zero(t, n)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		done := make(chan error)
		go func() {
			_, err := s.Submit(t.Context(), submitOf(1))
			done <- err
		}()
		synctest.Wait()
		p.answer(first.Sequence, "1")
		require.NoError(t, <-done)
		require.Equal(t, 3, s.Stats().Outstanding)
	})
}

func TestWaitersAreAllServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := dialPeer(t, Settings{Window: 2, OnResults: func(*Session, []Result) {}})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if n, err := s.Submit(t.Context(), submitOf(3)); n != 3 || err != nil {
					t.Error(n, err)
				}
			})
		}
		for range 30 {
			h, _ := p.expect(pdu.CmdSubmitSM)
			p.answer(h.Sequence, "1")
		}
		wg.Wait()
	})
}

func TestUnansweredRequestIsInDoubtAndItsLateAnswerFindsTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{ResponseTimeout: 5 * time.Second, EnquireInterval: -1, OnResults: got.take})
		began := time.Now()
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		require.Len(t, got.results(), 1)
		r := got.results()[0]
		require.Equal(t, InDoubt, r.Outcome)
		require.ErrorIs(t, r.Err, ErrTimeout)
		require.Equal(t, began, r.Written)
		require.Zero(t, s.Stats().Outstanding)

		p.answer(h.Sequence, "00B8BE19")
		synctest.Wait()
		require.Len(t, got.results(), 2)
		r = got.results()[1]
		require.True(t, r.Late)
		require.Equal(t, 0, r.Owner)
		require.Equal(t, "00B8BE19", string(r.MessageID))

		p.answer(h.Sequence, "00B8BE19") // once is enough
		synctest.Wait()
		require.Len(t, got.results(), 2)
		require.EqualValues(t, 1, s.Stats().Unmatched)
	})
}

func TestOwnerIsToldOfTheWriteBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Written
		var got record
		s, p := dialPeer(t, Settings{OnResults: got.take, OnWritten: func(_ *Session, batch []Written) { told = append(told, batch...) }})
		time.Sleep(time.Second)
		_, err := s.TrySubmit(submitOf(2))
		require.NoError(t, err)
		first, _ := p.expect(pdu.CmdSubmitSM)
		second, _ := p.expect(pdu.CmdSubmitSM)
		synctest.Wait()
		require.Equal(t, []Written{{Owner: 0, Sequence: first.Sequence, At: time.Now()}, {Owner: 1, Sequence: second.Sequence, At: time.Now()}}, told)
		require.Empty(t, got.results())
		time.Sleep(time.Second)
		p.answer(first.Sequence, "1")
		synctest.Wait()
		require.Equal(t, told[0].At, got.results()[0].Written)
		require.Equal(t, time.Second, got.results()[0].Received.Sub(told[0].At))
	})
}

func TestLateAnswersAreForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{ResponseTimeout: time.Second, LateFor: time.Minute, OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		go func() { // keeps the link up
			for {
				q, _, err := p.in.next()
				if err != nil {
					return
				}
				_, _ = p.conn.Write(pdu.AppendHeader(nil, pdu.CmdEnquireLinkResp, 0, q.Sequence))
			}
		}()
		time.Sleep(2 * time.Minute)
		p.answer(h.Sequence, "1")
		synctest.Wait()
		require.Len(t, got.results(), 1)
		require.EqualValues(t, 1, s.Stats().Unmatched)
	})
}

// A deliver_sm whose sequence number equals that of an outstanding submit_sm
// is a request, and a response of another kind is none.
func TestAnswerMatchesBySequenceAndKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		var delivered []string
		s, p := dialPeer(t, Settings{OnResults: got.take, OnRequests: func(_ *Session, batch []Incoming) {
			for _, in := range batch {
				delivered = append(delivered, string(in.SM.ShortMessage))
				if err := in.Reply.Respond(pdu.StatusOK); err != nil {
					t.Error(err)
				}
			}
		}})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		p.send(h.Sequence, pdu.StatusOK, &pdu.DeliverSM{SM: pdu.SM{ShortMessage: []byte("id:1 stat:DELIVRD")}})
		ack, body := p.expect(pdu.CmdDeliverSMResp)
		require.Equal(t, h.Sequence, ack.Sequence)
		require.Equal(t, []byte{0}, body)
		p.bare(pdu.CmdQuerySMResp, pdu.StatusOK, h.Sequence)
		synctest.Wait()
		require.Equal(t, []string{"id:1 stat:DELIVRD"}, delivered)
		require.Empty(t, got.results())
		require.EqualValues(t, 1, s.Stats().Unmatched)

		p.bare(pdu.CmdGenericNack, pdu.StatusThrottled, h.Sequence)
		synctest.Wait()
		require.Equal(t, Answered, got.results()[0].Outcome)
		require.Equal(t, pdu.StatusThrottled, got.results()[0].Status)
		require.Equal(t, pdu.CmdGenericNack, got.results()[0].Command)
	})
}

func TestErrorWithoutBodyIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		p.bare(pdu.CmdSubmitSMResp, pdu.StatusThrottled, h.Sequence)
		synctest.Wait()
		require.Equal(t, pdu.StatusThrottled, got.results()[0].Status)
		require.NoError(t, s.Err())
	})
}

func TestSilentCarrierEndsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{EnquireInterval: 30 * time.Second, EnquireTimeout: 10 * time.Second, OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		p.expect(pdu.CmdSubmitSM)
		began := time.Now()
		p.expect(pdu.CmdEnquireLink)
		require.Equal(t, 30*time.Second, time.Since(began))
		<-s.Done()
		require.Equal(t, 40*time.Second, time.Since(began))
		require.ErrorIs(t, s.Err(), ErrSilent)
		require.Equal(t, InDoubt, got.results()[0].Outcome)
		require.ErrorIs(t, got.results()[0].Err, ErrSilent)
	})
}

func TestAnsweredLinkChecksKeepTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := dialPeer(t, Settings{EnquireInterval: 30 * time.Second})
		for range 10 {
			h, _ := p.expect(pdu.CmdEnquireLink)
			p.bare(pdu.CmdEnquireLinkResp, pdu.StatusOK, h.Sequence)
		}
		synctest.Wait()
		require.NoError(t, s.Err())
		require.EqualValues(t, 10, s.Stats().Enquired)
	})
}

func TestPeerThatDoesNotReadEndsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{Window: 10, WriteTimeout: 5 * time.Second, OnResults: got.take})
		n, err := s.TrySubmit(submitOf(4))
		require.NoError(t, err)
		require.Equal(t, 4, n)
		// The peer takes one PDU and a half.
		one, err := pdu.Append(nil, 2, 0, submitOf(1)[0].Body)
		require.NoError(t, err)
		_, err = io.ReadFull(p.conn, make([]byte, len(one)+len(one)/2))
		require.NoError(t, err)
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrStalled)
		var outcomes []Outcome
		for _, r := range got.results() {
			outcomes = append(outcomes, r.Outcome)
		}
		require.Equal(t, []Outcome{InDoubt, NotSent, NotSent, NotSent}, outcomes)
	})
}

func TestCloseDoesNotWaitForAStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := dialPeer(t, Settings{})
		_, err := s.TrySubmit(submitOf(4))
		require.NoError(t, err)
		synctest.Wait() // the write blocks
		began := time.Now()
		s.Close()
		require.Zero(t, time.Since(began))
		_, err = s.TrySubmit(submitOf(1))
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestBlockedHandlersHoldUpNeitherResponsesNorLinkChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var got record
		s, p := dialPeer(t, Settings{Window: 2, OnResults: got.take, OnRequests: func(_ *Session, batch []Incoming) { <-release }})
		p.send(1, pdu.StatusOK, &pdu.DeliverSM{})
		synctest.Wait()
		p.bare(pdu.CmdEnquireLink, pdu.StatusOK, 2)
		p.expect(pdu.CmdEnquireLinkResp)
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		p.answer(h.Sequence, "1")
		synctest.Wait()
		require.Len(t, got.results(), 1)
		close(release)
	})
}

func TestOwnerWhoTakesNoResultsHoldsUpOnlyItsSubmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, p := dialPeer(t, Settings{Window: 2, OnResults: func(*Session, []Result) { <-release }})
		accepted := 0
		for range 50 {
			n, err := s.TrySubmit(submitOf(2))
			if err != nil {
				require.ErrorIs(t, err, ErrWindowFull)
			}
			for range n {
				h, _ := p.expect(pdu.CmdSubmitSM)
				p.answer(h.Sequence, "1")
			}
			synctest.Wait()
			accepted += n
		}
		require.Equal(t, 10, accepted) // five windows
		close(release)
		synctest.Wait()
		n, err := s.TrySubmit(submitOf(2))
		require.NoError(t, err)
		require.Equal(t, 2, n)
	})
}

func TestFullRequestQueueIsRefusedAndAnswersMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var mu sync.Mutex
		var replies []Reply
		_, p := dialPeer(t, Settings{RequestQueue: 2, QueueFullStatus: pdu.StatusReceiverTemporaryError,
			OnRequests: func(_ *Session, batch []Incoming) {
				<-release
				mu.Lock()
				defer mu.Unlock()
				for _, in := range batch {
					replies = append(replies, in.Reply)
				}
			}})
		p.send(1, pdu.StatusOK, &pdu.DeliverSM{}) // in the handler
		synctest.Wait()
		p.send(2, pdu.StatusOK, &pdu.DeliverSM{})
		p.send(3, pdu.StatusOK, &pdu.DeliverSM{})
		p.send(4, pdu.StatusOK, &pdu.DeliverSM{})
		h, _ := p.expect(pdu.CmdDeliverSMResp)
		require.EqualValues(t, 4, h.Sequence)
		require.Equal(t, pdu.StatusReceiverTemporaryError, h.Status)
		close(release)
		synctest.Wait()
		require.Len(t, replies, 3)
		go func() {
			for i := range replies { // any order, any goroutine
				_ = replies[len(replies)-1-i].Respond(pdu.StatusOK)
			}
		}()
		for _, want := range []uint32{3, 2, 1} {
			h, _ := p.expect(pdu.CmdDeliverSMResp)
			require.Equal(t, want, h.Sequence)
		}
	})
}

func TestOddPDUsAreSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var commands []pdu.Command
		s, p := dialPeer(t, Settings{OnRequests: func(_ *Session, batch []Incoming) {
			for _, in := range batch {
				commands = append(commands, in.Command)
				_ = in.Reply.Respond(pdu.StatusOK)
			}
		}})
		p.bare(0x00010200, pdu.StatusOK, 9) // a vendor's
		h, _ := p.expect(pdu.CmdGenericNack)
		require.EqualValues(t, 9, h.Sequence)
		require.Equal(t, pdu.StatusInvalidCommandID, h.Status)

		p.send(10, pdu.StatusOK, &pdu.AlertNotification{})
		p.send(11, pdu.StatusOK, &pdu.Outbind{SystemID: "x"})
		p.bare(0x80010200, pdu.StatusOK, 9)
		p.bare(pdu.CmdBindTransceiver, pdu.StatusOK, 12)
		h, _ = p.expect(pdu.CmdBindTransceiverResp)
		require.Equal(t, pdu.StatusAlreadyBound, h.Status)
		p.send(13, pdu.StatusOK, &pdu.SubmitSM{}) // not for an ESME
		h, _ = p.expect(pdu.CmdSubmitSMResp)
		require.Equal(t, pdu.StatusInvalidBindStatus, h.Status)
		p.send(14, pdu.StatusOK, &pdu.Raw{Cmd: pdu.CmdDeliverSM, Data: []byte{1, 2}})
		h, _ = p.expect(pdu.CmdDeliverSMResp)
		require.Equal(t, pdu.StatusInvalidCommandLength, h.Status)
		p.send(15, pdu.StatusOK, &pdu.Raw{Cmd: pdu.CmdDataSM, Data: []byte{1, 2}})
		h, _ = p.expect(pdu.CmdDataSMResp)
		require.Equal(t, pdu.StatusInvalidCommandLength, h.Status)
		p.send(16, pdu.StatusOK, &pdu.DataSM{})
		p.expect(pdu.CmdDataSMResp)
		require.Equal(t, []pdu.Command{pdu.CmdAlertNotification, pdu.CmdDataSM}, commands)
		require.NoError(t, s.Err())
	})
}

func TestLostFrameIsAnsweredAndEndsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := dialPeer(t, Settings{})
		_, err := p.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdGenericNack)
		require.Equal(t, pdu.StatusInvalidCommandLength, h.Status)
		<-s.Done()
		require.ErrorIs(t, s.Err(), pdu.ErrLength)
	})
}

func TestUnbindDrainsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{OnResults: got.take})
		_, err := s.TrySubmit(submitOf(2))
		require.NoError(t, err)
		first, _ := p.expect(pdu.CmdSubmitSM)
		unbound := make(chan error)
		go func() { unbound <- s.Unbind(t.Context()) }()
		second, _ := p.expect(pdu.CmdSubmitSM)
		synctest.Wait()
		_, err = s.TrySubmit(submitOf(1))
		require.ErrorIs(t, err, ErrUnbinding)
		p.answer(first.Sequence, "1")
		p.answer(second.Sequence, "2")
		h, _ := p.expect(pdu.CmdUnbind)
		p.bare(pdu.CmdUnbindResp, pdu.StatusOK, h.Sequence)
		require.NoError(t, <-unbound)
		require.ErrorIs(t, s.Err(), ErrUnbound)
		require.Len(t, got.results(), 2)
		require.Equal(t, Answered, got.results()[1].Outcome)
	})
}

func TestUnbindDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{DrainTimeout: 2 * time.Second, UnbindTimeout: time.Second, OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		p.expect(pdu.CmdSubmitSM)
		began := time.Now()
		go func() {
			for {
				if _, _, err := p.in.next(); err != nil {
					return
				}
			}
		}()
		require.ErrorIs(t, s.Unbind(t.Context()), ErrTimeout)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, InDoubt, got.results()[0].Outcome)
	})
}

// TestUnbindWaitsLongForAnswersButNotForOurOwn: a receipt stays unanswered all the time.
func TestUnbindWaitsLongForAnswersButNotForOurOwn(t *testing.T) {
	for name, c := range map[string]struct {
		answered, shorter, want time.Duration
	}{
		"answered late":          {answered: 20 * time.Second, want: 22 * time.Second},
		"never answered":         {want: 40 * time.Second},
		"cut short in between":   {shorter: 5 * time.Second, want: 15 * time.Second},
		"nothing is outstanding": {answered: time.Nanosecond, want: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got record
				s, p := dialPeer(t, Settings{DrainTimeout: 2 * time.Second, EnquireInterval: -1, OnResults: got.take, OnRequests: func(*Session, []Incoming) {}})
				_, err := s.TrySubmit(submitOf(1))
				require.NoError(t, err)
				first, _ := p.expect(pdu.CmdSubmitSM)
				p.send(9, pdu.StatusOK, &pdu.DeliverSM{})
				synctest.Wait()
				began := time.Now()
				if c.answered > 0 {
					time.AfterFunc(c.answered, func() { p.answer(first.Sequence, "1") })
				}
				if c.shorter > 0 {
					time.AfterFunc(10*time.Second, func() { _ = s.UnbindWithin(context.Background(), c.shorter) })
				}
				unbound := make(chan error)
				go func() { unbound <- s.UnbindWithin(t.Context(), 40*time.Second) }()
				h, _ := p.expect(pdu.CmdUnbind)
				require.Equal(t, c.want, time.Since(began).Round(time.Millisecond))
				p.bare(pdu.CmdUnbindResp, pdu.StatusOK, h.Sequence)
				require.NoError(t, <-unbound)
				require.Equal(t, c.answered > 0, got.results()[0].Outcome == Answered)
			})
		})
	}
}

func TestUnbindOfThePeerIsAnsweredAfterTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{OnResults: got.take})
		_, err := s.TrySubmit(submitOf(2))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		h2, _ := p.expect(pdu.CmdSubmitSM)
		p.bare(pdu.CmdUnbind, pdu.StatusOK, 77)
		synctest.Wait()
		_, err = s.TrySubmit(submitOf(1))
		require.ErrorIs(t, err, ErrUnbinding)
		p.answer(h.Sequence, "1")
		p.answer(h2.Sequence, "2")
		r, _ := p.expect(pdu.CmdUnbindResp)
		require.EqualValues(t, 77, r.Sequence)
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrPeerUnbound)
		require.Len(t, got.results(), 2)
	})
}

func TestLostConnectionSplitsOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		p.expect(pdu.CmdSubmitSM)
		_ = p.conn.Close()
		<-s.Done()
		require.Equal(t, InDoubt, got.results()[0].Outcome)
		require.ErrorContains(t, got.results()[0].Err, "peer closed")
	})
}

func TestFaultyRequestStopsTheBatchThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := dialPeer(t, Settings{})
		batch := submitOf(3)
		batch[1].Body.(*pdu.SubmitSM).Dest.Addr = []byte("81\x00")
		n, err := s.TrySubmit(batch)
		require.Equal(t, 1, n)
		require.ErrorIs(t, err, pdu.ErrNUL)
		p.expect(pdu.CmdSubmitSM)
	})
}

func TestSequenceWrapsBeforeTheSignBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{Window: 4, OnResults: got.take})
		s.mu.Lock()
		s.seq = pdu.MaxSequence - 2
		s.mu.Unlock()
		_, err := s.TrySubmit(submitOf(4))
		require.NoError(t, err)
		var seqs []uint32
		for range 4 {
			h, _ := p.expect(pdu.CmdSubmitSM)
			seqs = append(seqs, h.Sequence)
			p.answer(h.Sequence, "1")
		}
		require.Equal(t, []uint32{pdu.MaxSequence - 1, pdu.MaxSequence, 1, 2}, seqs)
		synctest.Wait()
		require.Len(t, got.results(), 4)
	})
}

// An old request must not lose its place to a later one whose number falls
// on it.
func TestOldRequestKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{Window: 2, OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		old, _ := p.expect(pdu.CmdSubmitSM)
		for range 100 {
			_, err := s.Submit(t.Context(), submitOf(1))
			require.NoError(t, err)
			h, _ := p.expect(pdu.CmdSubmitSM)
			p.answer(h.Sequence, "new")
		}
		p.answer(old.Sequence, "old")
		synctest.Wait()
		all := got.results()
		require.Len(t, all, 101)
		require.Equal(t, "old", string(all[100].MessageID))
		require.Equal(t, old.Sequence, all[100].Sequence)
	})
}

func TestPDUsComeInAnyPiecesAndUpTo64KiBOfText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		_, p := dialPeer(t, Settings{OnRequests: func(_ *Session, batch []Incoming) {
			for _, in := range batch {
				sizes = append(sizes, len(in.SM.Text()))
				_ = in.Reply.Respond(pdu.StatusOK)
			}
		}})
		var all []byte
		for seq, size := range []int{1, 0xFFFF, 2} {
			tlvs, err := pdu.AppendTLV(nil, pdu.TagMessagePayload, make([]byte, size))
			require.NoError(t, err)
			all, err = pdu.Append(all, uint32(seq+1), 0, &pdu.DeliverSM{SM: pdu.SM{TLVs: tlvs}})
			require.NoError(t, err)
		}
		go func() {
			for piece := range slices.Chunk(all, 777) {
				if _, err := p.conn.Write(piece); err != nil {
					return
				}
			}
		}()
		for range 3 {
			p.expect(pdu.CmdDeliverSMResp)
		}
		require.Equal(t, []int{1, 0xFFFF, 2}, sizes)
	})
}

func TestUnbindUnderLoadLosesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	theirs, err := ln.Accept()
	require.NoError(t, err)
	var answered, others atomic.Int64
	esme, _ := pairOn(t, ours, theirs, Settings{Window: 20, OnResults: func(_ *Session, batch []Result) {
		for _, r := range batch {
			if r.Outcome == Answered && !r.Late {
				answered.Add(1)
			} else {
				others.Add(1)
			}
		}
	}}, Settings{OnRequests: func(s *Session, batch []Incoming) {
		for _, in := range batch {
			_ = in.Reply.Respond(pdu.StatusOK)
		}
	}})
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				n, err := esme.Submit(context.Background(), submitOf(7))
				accepted.Add(int64(n))
				if err != nil {
					return // unbinding, or over
				}
			}
		})
	}
	require.Eventually(t, func() bool { return answered.Load() > 500 }, 20*time.Second, time.Millisecond)
	require.NoError(t, esme.Unbind(t.Context()))
	wg.Wait()
	require.Equal(t, accepted.Load(), answered.Load())
	require.Zero(t, others.Load())
}

func TestSMSCDeliversToESME(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		esme, smsc := pair(t, Settings{OnRequests: func(s *Session, batch []Incoming) {
			out := make([]Response, 0, len(batch))
			for _, in := range batch {
				out = append(out, Response{To: in.Reply, Status: pdu.StatusReceiverTemporaryError})
			}
			if err := s.Respond(out); err != nil {
				t.Error(err)
			}
		}}, Settings{OnResults: got.take})
		require.Equal(t, "carrier", esme.PeerSystemID())
		require.Equal(t, "kakitome", smsc.PeerSystemID())
		_, err := smsc.TrySubmit([]Request{{Body: new(pdu.DeliverSM), Owner: "dlr"}})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, pdu.StatusReceiverTemporaryError, got.results()[0].Status)
		require.Equal(t, "dlr", got.results()[0].Owner)
	})
}

func TestReceiverMayNotSubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			s, err := Accept(context.Background(), theirs, AcceptOptions{
				Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK },
				Settings:  Settings{OnRequests: func(*Session, []Incoming) {}},
			})
			if err == nil {
				<-s.Done()
			}
		}()
		var got record
		s, err := Dial(t.Context(), Options{
			Dial:     func(context.Context, string, string) (net.Conn, error) { return ours, nil },
			Bind:     pdu.Bind{Mode: pdu.CmdBindReceiver},
			Settings: Settings{OnResults: got.take},
		})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, pdu.StatusInvalidBindStatus, got.results()[0].Status)
	})
}

func TestSteadySubmitsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	answered := make(chan struct{}, 1)
	count := 0
	esme, _ := pair(t, Settings{Window: 100, EnquireInterval: -1, OnResults: func(_ *Session, batch []Result) {
		if count += len(batch); count%100 == 0 {
			answered <- struct{}{}
		}
	}}, Settings{EnquireInterval: -1, OnRequests: func() func(*Session, []Incoming) {
		out, id := make([]Response, 0, 200), []byte("id")
		return func(s *Session, batch []Incoming) {
			out = out[:0]
			for i := range batch {
				out = append(out, Response{To: batch[i].Reply, MessageID: id})
			}
			_ = s.Respond(out)
		}
	}()})
	batch := submitOf(100)
	run := func() {
		if n, err := esme.TrySubmit(batch); n != 100 {
			t.Error(n, err)
		}
		<-answered
	}
	for range 200 {
		run()
	}
	perBatch := testing.AllocsPerRun(200, run)
	require.Less(t, perBatch, 10.0, "allocations for 100 submits, both sides")
}
