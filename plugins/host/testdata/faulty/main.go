// Faulty is a module that misbehaves as the tests tell it: at its start by the variable FAULTY, in a call by the value
// of the first item.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

func main() {
	kind := proto.Kind_AUTH
	switch os.Getenv("FAULTY") {
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(4)
	case "late": // the host knows that there is no handshake before it knows why
		os.Stdout.Close()
		time.Sleep(50 * time.Millisecond)
		fmt.Fprintln(os.Stderr, "no disk found")
		os.Exit(4)
	case "hang":
		forever()
	case "noise":
		fmt.Println("welcome to the module")
	case "mute":
		mute()
	case "elsewhere":
		fmt.Println("1|0|unix|/var/run/docker.sock|grpc|")
		forever()
	case "endless":
		for {
			os.Stdout.WriteString("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
		}
	case "kind":
		kind = proto.Kind_PAYMENT
	}
	m := sdk.Module{
		Describe: &proto.DescribeResponse{Name: "faulty", Vendor: "test", Version: "1.0.0", Kind: kind, MaxConcurrency: 4, ConfigSchema: `{"properties":{"port":{"type":"integer"}}}`},
		ValidateConfig: func(config []byte) []*proto.Error {
			if strings.Contains(string(config), "bad") {
				return []*proto.Error{{Class: proto.ErrorClass_CONFIG, Code: "bad", Field: "bad", Message: "this is bad"}}
			}
			var c struct{ While string } // a file exists, it does not answer
			for json.Unmarshal(config, &c) == nil && c.While != "" {
				if _, err := os.Stat(c.While); err != nil {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		},
		Configure: func(context.Context, string, string, []byte) *proto.Error { return nil },
	}
	if kind == proto.Kind_AUTH {
		m.Auth = faulty{}
	} else {
		m.Payment = proto.UnimplementedPaymentAgentServer{}
	}
	sdk.Serve(m)
}

// mute shakes hands as it should and then never accepts a connection.
func mute() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "mute")
	if _, err := net.Listen("unix", path); err != nil {
		panic(err)
	}
	fmt.Printf("1|0|unix|%s|grpc|%s\n", path, base64.RawStdEncoding.EncodeToString(cert))
	forever()
}

type faulty struct {
	proto.UnimplementedAuthServer
}

func (faulty) Canonical(ctx context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	command, argument, _ := strings.Cut(in.Items[0].Value, ":")
	form := argument
	switch command {
	case "echo":
	case "crash":
		os.Exit(5)
	case "panic-aside": // of a goroutine that the SDK does not guard
		go panic("out of order")
		forever()
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		forever() // the other threads stop a moment later
	case "ignore": // the deadline
		time.Sleep(time.Hour)
	case "sleep":
		d, _ := time.ParseDuration(argument)
		select {
		case <-time.After(d):
			form = "slept"
		case <-ctx.Done(): // a reply would race with the caller's own clock
			return nil, ctx.Err()
		}
	case "short":
		return &proto.CanonicalResponse{}, nil
	case "pid":
		form = strconv.Itoa(os.Getpid())
	case "environ":
		form = strings.Join(os.Environ(), "\n")
	case "flood":
		for _, f := range []*os.File{os.NewFile(1, "fd1"), os.NewFile(2, "fd2"), os.Stdout, os.Stderr} {
			go func() {
				line := []byte(strings.Repeat("all work and no play ", 40) + "\n")
				for {
					f.Write(line)
				}
			}()
		}
		form = "flooding"
	case "lines": // that are meant to confuse a reader of logs
		for _, line := range []string{`{"@message":5}`, `{"@level":["x"],"@message":{}}`, `{"@timestamp":1,"@message":"m"}`, `{"@message":null}`, `{`, `{}`, "\x00\xff", strings.Repeat("long", 100_000)} {
			syscall.Write(2, []byte(line+"\n"))
		}
		form = "written"
	case "child": // one in the group, one that has left it and holds the pipes
		inside := exec.Command("sleep", "600")
		inside.Stdout, inside.Stderr = os.NewFile(2, "fd2"), os.NewFile(2, "fd2")
		outside := exec.Command("sleep", "5")
		outside.Stdout, outside.Stderr = os.NewFile(2, "fd2"), os.NewFile(2, "fd2")
		outside.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := inside.Start(); err != nil {
			return nil, err
		}
		if err := outside.Start(); err != nil {
			return nil, err
		}
		form = strconv.Itoa(inside.Process.Pid)
	case "allocate":
		var all [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 256 {
				return nil, fmt.Errorf("4 GiB were not refused")
			}
		}
	}
	out := &proto.CanonicalResponse{}
	for range in.Items {
		out.Forms = append(out.Forms, &proto.CanonicalForm{Form: form})
	}
	return out, nil
}

// forever waits: without a timer the runtime would end a program whose goroutines all do.
func forever() { time.Sleep(math.MaxInt64) }
