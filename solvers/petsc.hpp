#pragma once
#include <petscdm.h>
#include <petscksp.h>

#include <string>
#include <utility>

#include "base/error.hpp"

namespace sanctuary {

/// Throws a NumericsError that carries PETSc's own message when `code` is not success.
inline void petsc(PetscErrorCode code) {
  if (code == 0) return;
  const char* text = nullptr;
  (void)PetscErrorMessage(code, &text, nullptr);
  throw NumericsError(std::string("PETSc: ") + (text ? text : "unknown error"));
}

/// Sets an option unless the user has given it.
inline void default_option(const std::string& name, const char* value) {
  PetscBool given = PETSC_FALSE;
  petsc(PetscOptionsHasName(nullptr, nullptr, name.c_str(), &given));
  if (!given) petsc(PetscOptionsSetValue(nullptr, name.c_str(), value));
}

/// True between PetscInitialize and PetscFinalize.
inline bool petsc_is_up() {
  PetscBool up = PETSC_FALSE, down = PETSC_FALSE;
  (void)PetscInitialized(&up);
  (void)PetscFinalized(&down);
  return up && !down;
}

/// Sole owner of a PETSc object; move-only; destruction is collective on the object's communicator.
template <class T, PetscErrorCode (*Destroy)(T*)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T object) : object_(object) {}
  Handle(Handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  Handle(const Handle&) = delete;
  ~Handle() {
    if (object_ && petsc_is_up()) (void)Destroy(&object_);
  }
  [[nodiscard]] T get() const noexcept { return object_; }
  /// Address for a creating call; what was held before is destroyed.
  T* out() noexcept {
    *this = Handle{};
    return &object_;
  }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  T object_ = nullptr;
};

using VecHandle = Handle<Vec, VecDestroy>;
using MatHandle = Handle<Mat, MatDestroy>;
using KspHandle = Handle<KSP, KSPDestroy>;
using DmHandle = Handle<DM, DMDestroy>;
using ScatterHandle = Handle<VecScatter, VecScatterDestroy>;
using IsHandle = Handle<IS, ISDestroy>;
using NullSpaceHandle = Handle<MatNullSpace, MatNullSpaceDestroy>;

/// The owned entries of a vector for reading; gives them back when it goes out of scope.
class ReadAccess {
 public:
  explicit ReadAccess(Vec vec) : vec_(vec) { petsc(VecGetArrayRead(vec_, &data_)); }
  ReadAccess(const ReadAccess&) = delete;
  ReadAccess& operator=(const ReadAccess&) = delete;
  ~ReadAccess() { (void)VecRestoreArrayRead(vec_, &data_); }
  const double& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] const double* data() const { return data_; }

 private:
  Vec vec_;
  const double* data_ = nullptr;
};

/// Runs what a callback of PETSc does: a C callback may not throw, PETSc gets an error code in its place.
template <class Work>
[[nodiscard]] PetscErrorCode guarded(Work&& work) {
  try {
    work();
  } catch (...) {
    return PETSC_ERR_LIB;
  }
  return static_cast<PetscErrorCode>(0);
}

/// The owned entries of a vector for reading and writing; gives them back when it goes out of scope.
class WriteAccess {
 public:
  explicit WriteAccess(Vec vec) : vec_(vec) { petsc(VecGetArray(vec_, &data_)); }
  WriteAccess(const WriteAccess&) = delete;
  WriteAccess& operator=(const WriteAccess&) = delete;
  ~WriteAccess() { (void)VecRestoreArray(vec_, &data_); }
  double& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] double* data() const { return data_; }

 private:
  Vec vec_;
  double* data_ = nullptr;
};

}  // namespace sanctuary
