package notice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
)

const secret = "sandbox-secret-of-a-test"

// merchant is the other end: it answers by script and remembers the genuine notices that it took.
type merchant struct {
	answer func(try int) int // 0: the connection breaks

	log bytes.Buffer // what the sender logs, one goroutine at a time by slog

	mu    sync.Mutex
	tries int
	times []time.Time
	took  []int64 // the money that each genuine notice speaks of, 100 yen more with each payment
	fakes int
}

func (m *merchant) RoundTrip(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	m.times = append(m.times, time.Now())
	status := 200
	if m.answer != nil {
		status = m.answer(m.tries)
	}
	if status == 0 {
		return nil, errors.New("connection reset")
	}
	header := r.Header.Get(SignatureHeader)
	unix, _ := strconv.ParseInt(strings.TrimPrefix(strings.Split(header, ",")[0], "t="), 10, 64)
	if !hmac.Equal([]byte(Sign(secret, time.Unix(unix, 0), raw)), []byte(header)) {
		m.fakes++
		status = 401
	}
	if status == 200 {
		var b body
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, err
		}
		m.took = append(m.took, b.Payment.PaidYen)
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
}

// pass lets fake time go by and everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// run gives a sender on real books in a bubble of fake time, and a function that takes money n times.
func run(t *testing.T, m *merchant, faults *fault.Set) (*Sender, *ledger.Ledger, func(n int)) {
	books, err := ledger.Open(t.TempDir(), ledger.Options{CompanyCode: "908081", CardPages: "http://127.0.0.1/pay/"})
	require.NoError(t, err)
	s := New(books, faults, Options{Secret: func(string) string { return secret }, Transport: m,
		Log: slog.New(slog.NewTextHandler(&m.log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		require.NoError(t, books.Close())
	})
	v, _, err := books.Create("m", ledger.Request{AttemptID: "a1", Method: ledger.KonbiniBarcode, Yen: 100, TaxYen: -1,
		Due: time.Now().Add(240 * time.Hour), WebhookURL: "http://merchant.example.jp/hook"}, nil)
	require.NoError(t, err)
	return s, books, func(n int) {
		for range n {
			_, err := books.Pay(ledger.Scan{Code: v.Voucher.Barcode}, func(string) bool { return true })
			require.NoError(t, err)
		}
	}
}

func TestNoticeIsTriedUntilTheMerchantAnswers2xx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{answer: func(try int) int { return []int{0, 503, 301, 404, 500, 0, 0, 0, 200}[try-1] }}
		s, books, pay := run(t, m, &fault.Set{})
		pay(1)
		pass(10 * time.Minute)
		require.Equal(t, []int64{100}, m.took)
		require.Equal(t, 9, m.tries)
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			got := m.times[i+1].Sub(m.times[i])
			require.GreaterOrEqual(t, got, want*time.Second)
			require.LessOrEqual(t, got, want*time.Second*6/5+time.Nanosecond)
		}
		require.Empty(t, books.Owed(0))
		waiting, tries := s.Status()
		require.Empty(t, waiting)
		require.Len(t, tries, 9)
		require.True(t, tries[0].OK)
		require.Equal(t, 8, strings.Count(m.log.String(), "notice not delivered"))
		require.NotContains(t, m.log.String(), "hook", "the webhook URL is the merchant's secret")
	})
}

func TestNoticesOfOnePaymentArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &merchant{answer: func(try int) int {
			if try == 1 {
				return 500
			}
			return 200
		}}
		_, _, pay := run(t, m, &fault.Set{})
		pay(3)
		pass(time.Minute)
		require.Equal(t, []int64{100, 200, 300}, m.took)
	})
}

func TestFaultsOfNotices(t *testing.T) {
	for _, c := range []struct {
		fault fault.Setting
		took  []int64 // the money that each genuine notice speaks of, 100 yen more with each payment
		fakes int
	}{
		{fault.Setting{Name: fault.DuplicateNotice, Times: 2}, []int64{100, 100, 200, 200, 300}, 0},
		{fault.Setting{Name: fault.OutOfOrder, Times: 3}, []int64{300, 200, 100}, 0},
		{fault.Setting{Name: fault.LateNotice, Times: 1, Delay: 30 * time.Second}, []int64{200, 300, 100}, 0},
		{fault.Setting{Name: fault.ForgedSignature, Times: 1}, []int64{100, 200, 300}, 1},
	} {
		t.Run(string(c.fault.Name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, faults := &merchant{}, &fault.Set{}
				require.NoError(t, faults.Arm(c.fault))
				_, _, pay := run(t, m, faults)
				pay(3)
				pass(time.Minute)
				require.Equal(t, c.took, m.took)
				require.Equal(t, c.fakes, m.fakes)
			})
		})
	}
}

func TestHeldNoticesGoOutWhenTheFaultEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, faults := &merchant{}, &fault.Set{}
		require.NoError(t, faults.Arm(fault.Setting{Name: fault.OutOfOrder, Times: 10}))
		s, _, pay := run(t, m, faults)
		pay(2)
		pass(time.Hour)
		require.Zero(t, m.tries)
		waiting, _ := s.Status()
		require.Len(t, waiting, 2)
		require.True(t, waiting[0].Held)
		faults.Clear()
		s.FaultsChanged()
		pass(time.Second)
		require.Equal(t, []int64{200, 100}, m.took)
	})
}
