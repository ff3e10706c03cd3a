package main

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a program that the kernel ends when the box dies, however it dies. The signal follows the thread that
// started the program, so that thread is kept.
func startTied(cmd *exec.Cmd) error {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			select {} // the thread lives as long as the box
		}
	}()
	return <-started
}
